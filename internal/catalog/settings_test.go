package catalog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/pgtest"
)

func TestConformanceSettings(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.StatsVersions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server, c := catalogOn(t, version)
			changeSettings(t, c, server.SuperuserDSN())
		})
	}
}

func changeSettings(t *testing.T, c *Catalog, dsn string) {
	t.Helper()
	ctx := t.Context()
	revision := func() int64 {
		t.Helper()
		n, err := c.ServersRevision(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	text := func(v string) *string { return &v }
	if got, err := c.Settings(ctx); err != nil || len(got) != 0 || revision() != 0 {
		t.Fatalf("at first: %v, %v", got, err)
	}
	must(c.PublishSettings(ctx, map[string]string{"A": "1", "B": "2"}))
	before := revision()
	must(c.PublishSettings(ctx, map[string]string{"A": "1", "B": "3"}))
	if revision() != before {
		t.Error("what the collector was started with is no change to itself")
	}
	newServer(t, c, "db1")
	before = revision()
	must(c.ChangeSettings(ctx, map[string]*string{"A": text("10"), "C": text("x")}, "admin"))
	if revision() <= before {
		t.Error("a change cannot be seen")
	}
	before = revision()
	must(c.ChangeSettings(ctx, map[string]*string{"A": text("10")}, "other"))
	if revision() != before {
		t.Error("nothing changed, but it can be seen")
	}
	got, err := c.Settings(ctx)
	must(err)
	want := []Setting{
		{Name: "A", Value: text("10"), Environment: text("1"), UpdatedBy: "admin"},
		{Name: "B", Environment: text("3")},
		{Name: "C", Value: text("x"), UpdatedBy: "admin"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Setting{}, "UpdatedAt")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if old := time.Since(got[0].UpdatedAt); old < 0 || old > time.Minute || got[0].UpdatedAt.Location() != time.UTC {
		t.Errorf("changed at %s", got[0].UpdatedAt)
	}
	before = revision()
	must(c.ChangeSettings(ctx, map[string]*string{"A": nil}, "cli"))
	if got, err = c.Settings(ctx); err != nil || got[0].Value != nil || got[0].UpdatedBy != "cli" || revision() <= before {
		t.Errorf("taken back: %+v, %v", got, err)
	}
	pgtest.Exec(t, dsn, "alter table pgam.setting add check (value <> 'bad')")
	if err := c.ChangeSettings(ctx, map[string]*string{"B": text("7"), "D": text("bad")}, "admin"); err == nil {
		t.Error("a refused change is no error")
	}
	if got, err = c.Settings(ctx); err != nil || got[1].Value != nil {
		t.Errorf("half a change is stored: %+v, %v", got, err)
	}
}
