package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
)

const countPartitions = "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relnamespace = 'history'::regnamespace and c.relkind = 'r'"

// aYear keeps everything that long.
func aYear() Retention {
	r := Retention{Kept: make(map[statsdb.Kept]time.Duration)}
	for _, k := range statsdb.AllKept() {
		r.Kept[k] = 365 * oneDay
	}
	return r
}

// inTime makes partitions be as if they had been made in time.
func inTime(t *testing.T, dsn string) {
	t.Helper()
	pgtest.Exec(t, dsn, `
do $$
declare
    name text;
begin
    for name in select oid::regclass from pg_class where relnamespace = 'history'::regnamespace and relispartition and relkind = 'r' loop
        execute format('comment on table %s is null', name);
    end loop;
end $$`)
}

// A wrong clock, here or of stats_db, drops nothing; what is due by the right one
// goes on being dropped.
func TestAWrongClockDeletesNothing(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	now := time.Now().UTC()
	if err := w.EnsurePartitions(t.Context(), now.AddDate(0, 0, -40), now.AddDate(0, 0, 4)); err != nil {
		t.Fatal(err)
	}
	inTime(t, dsn)
	before := pgtest.Value[int64](t, dsn, countPartitions)
	keep := aYear()
	for _, years := range []int{-3, 3} {
		wrong := func() time.Time { return time.Now().AddDate(years, 0, 0) }
		dropped, err := w.DropExpired(t.Context(), wrong, keep)
		if !errors.Is(err, ErrClocks) || len(dropped) > 0 || !strings.Contains(err.Error(), "NTP") {
			t.Errorf("%d years: dropped %v, error %v", years, dropped, err)
		}
	}
	// Both clocks are ahead: on one host they are one. A collector has made the
	// partitions of that time by then.
	ahead := now.AddDate(3, 0, 0)
	if err := w.EnsurePartitions(t.Context(), ahead, ahead.AddDate(0, 0, 4)); err != nil {
		t.Fatal(err)
	}
	all := pgtest.Value[int64](t, dsn, countPartitions)
	dropped, err := w.dropExpired(t.Context(), ahead, keep)
	if !errors.Is(err, ErrTooMuch) || len(dropped) > 0 || !strings.Contains(err.Error(), "pgam retention apply") || !strings.Contains(err.Error(), "activity, up to") {
		t.Errorf("both: dropped %v, error %v", dropped, err)
	}
	if n := pgtest.Value[int64](t, dsn, countPartitions); n != all {
		t.Errorf("%d of %d partitions are left", n, all)
	}
	// Retention that is shortened is refused until it is confirmed; what is due day
	// by day is not.
	keep.Kept[statsdb.KeptActivity] = 39 * oneDay
	if dropped, err = w.DropExpired(t.Context(), time.Now, keep); err != nil || len(dropped) != 4 {
		t.Errorf("a day: dropped %v, error %v", dropped, err)
	}
	keep.Kept[statsdb.KeptActivity] = 3 * oneDay
	if dropped, err = w.DropExpired(t.Context(), time.Now, keep); !errors.Is(err, ErrTooMuch) || len(dropped) > 0 {
		t.Errorf("shortened: dropped %v, error %v", dropped, err)
	}
	plan, err := w.Expiring(t.Context(), keep)
	if err != nil || plan[0].Table != "activity" || len(plan[0].Expired) != 36 || !plan[0].TooMuch || plan[2].TooMuch {
		t.Errorf("plan %+v, %v", plan, err)
	}
	keep.Confirmed = true
	if dropped, err = w.DropExpired(t.Context(), time.Now, keep); err != nil || len(dropped) != 4*36 {
		t.Errorf("confirmed: dropped %d, error %v", len(dropped), err)
	}
	if n := pgtest.Value[int64](t, dsn, countPartitions); n != all-4-4*36 || before > all {
		t.Errorf("%d partitions are left of %d", n, all)
	}
}

// Tables of few partitions lose one of them in time, and only in time.
func TestRetentionOfFewPartitions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		names   string
		now     string
		kept    int // days of Rollups
		tooMuch bool
	}{
		{"event_p2025 event_p2026", "2026-04-01", 90, false},
		{"event_p2025 event_p2026", "2026-04-09", 90, true}, // a week late: nobody collected, or the clock is wrong
		{"event_p2026 event_p2029", "2029-11-30", 730, true},
		{"event_p2026", "2029-01-02", 730, false},
		{"event_p2024 event_p2025 event_p2026 event_p2027", "2027-06-01", 730, false},
		{"event_p2024 event_p2025 event_p2026 event_p2027", "2028-01-02", 730, true},
		{"event_p2024 event_p2025", "2026-01-02", 0, false},
	} {
		existing := make(map[string]partitionState)
		for name := range strings.FieldsSeq(tt.names) {
			existing[name] = attached
		}
		now, err := time.Parse(time.DateOnly, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		err = tooMuch(existing, now, Retention{Kept: map[statsdb.Kept]time.Duration{statsdb.KeptRollups: time.Duration(tt.kept) * oneDay}})
		if errors.Is(err, ErrTooMuch) != tt.tooMuch {
			t.Errorf("%v: %v", tt, err)
		}
	}
}

// A partition that cannot be made keeps no other from it, and says which it is;
// what needs no such partition is written.
func TestPartitionsOfOneTableFail(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	tomorrow := noon.AddDate(0, 0, 1)
	name := "activity_p" + tomorrow.Format("20060102")
	pgtest.Exec(t, dsn, fmt.Sprintf("create view history.%s as select 1 as a", name))
	err := w.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 4))
	if err == nil || !strings.Contains(err.Error(), "create partitions of activity: ") || !strings.Contains(err.Error(), name) || errors.Is(err, statsdb.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	for table, want := range map[string]int64{"activity": 4, "session": 5, "event": 1, "database_rollup": 3} {
		n := pgtest.Value[int64](t, dsn, "select count(*) from pg_inherits where inhparent = ('history.' || $1)::regclass", table)
		if n != want {
			t.Errorf("%s has %d partitions, want %d", table, n, want)
		}
	}
}

// TestRetentionOfWhatWasImported: partitions that are made for what is old already
// go like others, but are no sign of a wrong clock; and none goes before its rows
// are summed up.
func TestRetentionOfWhatWasImported(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	now := time.Now().UTC()
	if err := w.EnsurePartitions(t.Context(), now.AddDate(0, 0, -2), now.AddDate(0, 0, 4)); err != nil {
		t.Fatal(err)
	}
	old := now.AddDate(0, 0, -100)
	if err := w.partitionsOf(t.Context(), old, now, "database_stat"); err != nil {
		t.Fatal(err)
	}
	keep := Retention{Kept: map[statsdb.Kept]time.Duration{statsdb.KeptActivity: 30 * oneDay}}
	pgtest.Exec(t, dsn, fmt.Sprintf("insert into history.progress (server_id, databases_from) values (1, '%s')", old.Add(oneDay).Format(time.RFC3339)))
	drop := func(want int) {
		t.Helper()
		dropped, err := w.DropExpired(t.Context(), time.Now, keep)
		if err != nil || len(dropped) != want {
			t.Errorf("dropped %d of %d, %v: %v", len(dropped), want, dropped, err)
		}
	}
	drop(1)
	pgtest.Exec(t, dsn, "update history.progress set databases_from = null")
	drop(69)
	drop(0)
}
