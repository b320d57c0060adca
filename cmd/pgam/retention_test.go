package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// What retention refuses to take by itself is listed, and taken when it is meant.
func TestRetentionCommand(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	if code, _, errOut := d.try(t, "retention", "apply"); code == 0 || !strings.Contains(errOut, "start pgam-collector once") {
		t.Errorf("without a collector: exit code %d: %s", code, errOut)
	}
	pgtest.Exec(t, dsn, `insert into pgam.setting (name, environment)
select 'PGAM_RETENTION_' || n, '30d' from unnest('{ACTIVITY,MINUTES,DATABASES,DISKS,ROLLUPS,AUDIT}'::text[]) as n`)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for days := range 4 {
		from := today.AddDate(0, 0, -40*days)
		pgtest.Exec(t, dsn, fmt.Sprintf("create table history.activity_p%s partition of history.activity for values from ('%s') to ('%s')",
			from.Format("20060102"), from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339)))
	}
	line := func() string {
		for l := range strings.Lines(d.do(t, "retention")) {
			if strings.HasPrefix(l, "activity ") {
				return strings.Join(strings.Fields(l), " ")
			}
		}
		return ""
	}
	until := today.AddDate(0, 0, -39).Format(time.DateOnly)
	if got, want := line(), "activity 4 3 "+until+" pgam retention apply"; got != want {
		t.Errorf("listed %q, want %q", got, want)
	}
	if out := d.do(t, "retention", "apply"); strings.Count(out, "activity_p") != 3 {
		t.Errorf("dropped %q", out)
	}
	if got, want := line(), "activity 1 0 - -"; got != want {
		t.Errorf("listed %q afterwards, want %q", got, want)
	}
}
