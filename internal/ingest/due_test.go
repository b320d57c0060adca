package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// leftDue gives the buckets of which there are recent rows, by server.
func leftDue(t *testing.T, dsn string) string {
	t.Helper()
	return pgtest.Value[string](t, dsn, `
select coalesce(string_agg(distinct format('%s %s', server_id, to_char(date_bin('10 minutes', slot, 'epoch') at time zone 'UTC', 'HH24:MI')), ', '), '')
  from history.activity_recent`)
}

// TestCompactDue: a bucket is compacted when it is over for long enough, which is
// not the same for all servers, and when nothing came to it just now.
func TestCompactDue(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "one")
	mustAppend(t, w, id, slotOf(noon)...)
	wantMade := func(now time.Time, want int) {
		t.Helper()
		if made, more, err := w.CompactDue(t.Context(), now); made != want || more || err != nil {
			t.Errorf("at %s: compacted %d (%t), %v; want %d", now.Format(time.TimeOnly), made, more, err, want)
		}
	}
	written := func(at time.Time) {
		t.Helper()
		pgtest.Exec(t, dsn, fmt.Sprintf("update history.activity_recent set written_at = '%s'", at.Format(time.RFC3339)))
	}
	ripe := noon.Add(sample.BucketLength + dueAfter + spread(id))
	written(noon)
	wantMade(ripe.Add(-time.Millisecond), 0)
	written(ripe)
	wantMade(ripe.Add(dueQuiet-time.Second), 0)
	wantMade(ripe.Add(dueQuiet), 1)
	wantMade(ripe.Add(dueQuiet), 0)
	mustAppend(t, w, id, slotOf(noon.Add(30*time.Second))...) // late
	written(ripe)
	wantMade(ripe.Add(dueQuiet), 1)
	if n := pgtest.Value[int](t, dsn, "select sum(ticks_ok) from history.activity_minute where server_id = $1", id); n != 30 {
		t.Errorf("the minute has %d ticks", n)
	}
	var most time.Duration
	for n := range target.ID(1000) {
		most = max(most, spread(n))
		if spread(n) < 0 || spread(n) >= dueSpread {
			t.Fatalf("server %d comes %s later", n, spread(n))
		}
	}
	if most < dueSpread*9/10 {
		t.Errorf("a thousand servers are spread over %s", most)
	}
}

// TestPoisonedBucketsCostThemselvesOnly: buckets that cannot be compacted come
// last, stay readable, and are told until they can.
func TestPoisonedBucketsCostThemselvesOnly(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	poisoned, well := newServer(t, dsn, "poisoned"), newServer(t, dsn, "well")
	for i := range 5 {
		mustAppend(t, w, poisoned, slotOf(noon.Add(time.Duration(i)*sample.BucketLength))...)
	}
	pgtest.Exec(t, dsn, fmt.Sprintf("alter table history.activity add constraint poison check (server_id <> %d)", poisoned),
		"update history.activity_recent set written_at = '2024-11-22'")
	ensure(t, w, noon)
	now := noon.Add(2 * time.Hour)
	made, more, err := w.CompactDue(t.Context(), now)
	if made != 0 || more || err == nil || strings.Count(err.Error(), "poison") != mostFaults || !strings.Contains(err.Error(), "and 2 more") {
		t.Errorf("compacted %d (%t): %v", made, more, err)
	}
	mustAppend(t, w, well, slotOf(noon.Add(time.Hour))...)
	pgtest.Exec(t, dsn, "update history.activity_recent set written_at = '2024-11-22'")
	// What failed just now is left alone, and told.
	if made, _, err := w.CompactDue(t.Context(), now.Add(againAfter-time.Second)); made != 1 || err == nil {
		t.Errorf("compacted %d, %v", made, err)
	}
	list, err := w.listDue(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	fresh := due{well, noon}
	if got := w.failed.order(append(list, fresh), now.Add(againAfter)); len(got) != 6 || got[0] != fresh {
		t.Errorf("the order is %v", got)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity_recent"); n != 5 {
		t.Errorf("%d recent rows are left", n)
	}
	pgtest.Exec(t, dsn, "alter table history.activity drop constraint poison")
	if made, _, err := w.CompactDue(t.Context(), now.Add(time.Hour)); made != 5 || err != nil {
		t.Errorf("healed: compacted %d, %v", made, err)
	}
	if left := leftDue(t, dsn); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestCompactingMakesPartitions: a bucket that waited for long is compacted into
// partitions that are made for it, and one that another collector compacted is no
// fault.
func TestCompactingMakesPartitions(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "one")
	compacted(t, w, id, noon.AddDate(0, 0, -40))
	if err := w.compactDue(t.Context(), due{id, noon.AddDate(0, 0, -40)}); err != nil {
		t.Errorf("compacted by another: %v", err)
	}
	if err := w.Compact(t.Context(), id, noon); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing: %v", err)
	}
	got := pgtest.Value[[]string](t, dsn, "select array_agg(tableoid::regclass::text) from history.activity")
	if diff := cmp.Diff([]string{"history.activity_p20241013"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAppendNoticesAnotherStatsDB: a stats_db that was restored from an older dump,
// or made anew, is given nothing before its writer knows.
func TestAppendNoticesAnotherStatsDB(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	one, two := newServer(t, dsn, "one"), newServer(t, dsn, "two")
	at := noon
	next := func(w *Writer, id target.ID) error {
		at = at.Add(sample.SlotLength)
		return w.Append(t.Context(), id, slotOf(at))
	}
	slots := func() int { return pgtest.Value[int](t, dsn, "select count(*) from history.activity_recent") }
	for _, id := range []target.ID{one, two, one} {
		if err := next(w, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, change := range []struct{ name, sql string }{
		{"older", "update history.progress set flushes = flushes - 1"},
		{"older, before the server was there", "delete from history.progress"},
		{"made anew", "update pgam.instance set id = 'another'; delete from history.progress"},
		{"another, and much newer", "update pgam.instance set id = 'a third'; update history.progress set flushes = 1000"},
	} {
		pgtest.Exec(t, dsn, change.sql)
		before := slots()
		if err := next(w, one); !errors.Is(err, ErrReplaced) || slots() != before {
			t.Errorf("%s: %v, %d slots more", change.name, err, slots()-before)
		}
		for _, id := range []target.ID{one, two, one} { // it is told once
			if err := next(w, id); err != nil {
				t.Errorf("%s, and noticed: %v", change.name, err)
			}
		}
	}
	// Another writer makes it no other one.
	other := openAt(t, dsn)
	for _, by := range []*Writer{other, other, w, other} {
		if err := next(by, one); err != nil {
			t.Error(err)
		}
	}
	pgtest.Exec(t, dsn, "update history.progress set flushes = 0")
	for _, by := range []*Writer{other, w} {
		if err := next(by, one); !errors.Is(err, ErrReplaced) {
			t.Errorf("restored: %v", err)
		}
	}
}
