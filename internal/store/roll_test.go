package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
)

// rollAll makes everything that is over by an instant.
func rollAll(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	for range 1000 {
		made, _, err := s.Roll(t.Context(), now, 50)
		if err != nil {
			t.Fatal(err)
		}
		if made == 0 {
			return
		}
	}
	t.Fatal("there is always something due")
}

// Windows come in any order, some late, some twice; they are rolled up at any
// time, by whoever. Every answer is as counted from every tick.
func TestRollupsAreTrue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		seed    uint64
		queries int
		tails   bool
	}{{1, 20, false}, {2, 60, false}, {3, 1200, true}} {
		t.Run(fmt.Sprint(tt.seed), func(t *testing.T) {
			t.Parallel()
			s, dsn := openStore(t)
			c := newCrowd(t, s, dsn, tt.seed, tt.queries)
			if tt.tails {
				c.busy = 30
			}
			const windows = 3*240 + 100 // more than three hours
			grains := make(map[history.Grain]int)
			var late []time.Time
			for i := range windows {
				t0 := c.from.Add(time.Duration(i) * 15 * time.Second)
				switch c.rnd.IntN(12) {
				case 0:
					late = append(late, t0)
				case 1: // never
				case 2:
					c.store(t, s, t0)
					c.store(t, s, t0)
				default:
					c.store(t, s, t0)
				}
				if len(late) > 0 && c.rnd.IntN(30) == 0 {
					k := c.rnd.IntN(len(late))
					c.store(t, s, late[k])
					late = slices.Delete(late, k, k+1)
				}
				if c.rnd.IntN(40) == 0 {
					if c.rnd.IntN(3) == 0 {
						s = openStoreAt(t, dsn)
					}
					if _, _, err := s.Roll(t.Context(), t0.Add(time.Duration(c.rnd.IntN(200))*time.Second), 1+c.rnd.IntN(6)); err != nil {
						t.Fatal(err)
					}
				}
				if c.rnd.IntN(20) == 0 {
					grains[c.ask(t, s, c.question(), tt.tails, fmt.Sprint("after window ", i))]++
				}
			}
			for _, now := range []time.Time{c.from.Add(windows * 15 * time.Second), c.from.AddDate(0, 0, 3)} {
				rollAll(t, s, now)
				for range 40 {
					grains[c.ask(t, s, c.question(), tt.tails, "at the end")]++
				}
			}
			if due := pgtest.Value[int](t, dsn, "select count(*)::int from history.rollup_due"); due != 0 {
				t.Errorf("%d buckets are due for ever", due)
			}
			// Late windows of days that are made.
			for _, t0 := range late {
				c.store(t, s, t0)
			}
			for i := range 40 {
				if i == 20 {
					rollAll(t, s, c.from.AddDate(0, 0, 3))
				}
				grains[c.ask(t, s, c.question(), tt.tails, "after late windows")]++
			}
			for _, g := range []history.Grain{history.GrainWindow, history.GrainMinute, history.GrainTenMinutes, history.GrainHour, history.GrainDay} {
				if grains[g] == 0 {
					t.Errorf("no question was answered by %s", g)
				}
			}
		})
	}
}

// What is due is not answered from rollups; what is not, is: without the mark,
// a late window would not be seen.
func TestDueMatters(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := newCrowd(t, s, dsn, 7, 20)
	for i := range 240 {
		if i != 100 {
			c.store(t, s, c.from.Add(time.Duration(i)*15*time.Second))
		}
	}
	rollAll(t, s, c.from.AddDate(0, 0, 3))
	q := history.TopQuestion{Range: history.Range{From: c.from, To: c.from.Add(time.Hour)}.Widen(time.Hour), By: history.ByDatabase}
	samples := func() int64 {
		t.Helper()
		top, err := s.Top(t.Context(), c.server, q)
		if err != nil || top.Grain != history.GrainHour {
			t.Fatalf("%+v, %v", top, err)
		}
		return top.Samples
	}
	before := samples()
	c.store(t, s, c.from.Add(100*15*time.Second))
	added := int64(len(c.window(c.from.Add(100 * 15 * time.Second)).Windows[0].Tick))
	if got := samples(); got != before+added || added == 0 {
		t.Errorf("%d samples with a late window of %d, were %d", got, added, before)
	}
	due := rows(t, dsn, "select step_seconds, bucket from history.rollup_due")
	if len(due) != 1 {
		t.Fatalf("due: %v", due)
	}
	pgtest.Exec(t, dsn, "delete from history.rollup_due")
	if got := samples(); got != before {
		t.Errorf("without its mark a late window is counted: %d samples, want %d", got, before)
	}
	pgtest.Exec(t, dsn, "insert into history.rollup_due select server_id, 600, date_bin('10 minutes', t0, 'epoch'), 1 from history.activity_window group by 1, 2, 3")
	rollAll(t, s, c.from.AddDate(0, 0, 3))
	if got := samples(); got != before+added {
		t.Errorf("%d samples when all is made again, want %d", got, before+added)
	}
}

// Rollers that work at the same time, beside a writer of late windows, leave
// what is true.
func TestRollersAtOnce(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := newCrowd(t, s, dsn, 11, 30)
	const windows = 300
	var late []time.Time
	for i := range windows {
		t0 := c.from.Add(time.Duration(i) * 15 * time.Second)
		if i%5 == 0 {
			late = append(late, t0)
			c.window(t0)
			continue
		}
		c.store(t, s, t0)
	}
	ctx, stop := context.WithCancel(t.Context())
	var rollers sync.WaitGroup
	for range 3 {
		roller := openStoreAt(t, dsn)
		rollers.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := roller.Roll(ctx, c.from.AddDate(0, 0, 3), 7); err != nil && ctx.Err() == nil && !statsdb.MayPass(err) {
					t.Error(err)
				}
			}
		})
	}
	for _, t0 := range late {
		c.store(t, s, t0)
	}
	stop()
	rollers.Wait()
	for range 20 {
		c.ask(t, s, c.question(), false, "beside rollers")
	}
	rollAll(t, s, c.from.AddDate(0, 0, 3))
	for range 40 {
		c.ask(t, s, c.question(), false, "after rollers")
	}
	twice := rows(t, dsn, "select dimension, text from history.label group by 1, 2 having count(*) > 1 or count(distinct id) > 1")
	if len(twice) > 0 {
		t.Errorf("labels: %v", twice)
	}
}

// A roller neither waits for a transaction that writes windows nor makes one
// wait.
func TestRollBesideWriter(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := newCrowd(t, s, dsn, 5, 20)
	for i := range 160 {
		c.store(t, s, c.from.Add(time.Duration(i)*15*time.Second))
	}
	writer, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close(context.WithoutCancel(t.Context())) }()
	tx, err := writer.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bucket := history.Floor(c.from.Add(10*time.Minute), 10*time.Minute)
	if _, err := tx.Exec(t.Context(), "update history.rollup_due set revision = revision + 1 where bucket = $1", bucket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 20 {
		if _, _, err := s.Roll(ctx, c.from.AddDate(0, 0, 3), 50); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := rows(t, dsn, "select step_seconds, bucket from history.rollup_due where step_seconds = 600")
	if len(left) != 1 || !left[0]["bucket"].(time.Time).Equal(bucket) {
		t.Errorf("left: %v", left)
	}
	rollAll(t, s, c.from.AddDate(0, 0, 3))
	for range 20 {
		c.ask(t, s, c.question(), false, "after the writer")
	}
}

// What was made of windows that are no longer kept stays as it is.
func TestRollOfExpired(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := newCrowd(t, s, dsn, 6, 20)
	for i := range 240 {
		c.store(t, s, c.from.Add(time.Duration(i)*15*time.Second))
	}
	rollAll(t, s, c.from.AddDate(0, 0, 3))
	q := history.TopQuestion{Range: history.Range{From: c.from, To: c.from.Add(time.Hour)}.Widen(time.Hour), By: history.ByQuery}
	before, err := s.Top(t.Context(), c.server, q)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, dsn, `
delete from history.activity_window where t0 > (select min(t0) from history.activity_window);
insert into history.rollup_due select distinct server_id, step_seconds, bucket, 1 from history.activity_rollup where step_seconds > 60`)
	rollAll(t, s, c.from.AddDate(0, 0, 3))
	after, err := s.Top(t.Context(), c.server, q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(before.Rows, after.Rows); diff != "" {
		t.Errorf("top (-before +after):\n%s", diff)
	}
	if due := pgtest.Value[int](t, dsn, "select count(*)::int from history.rollup_due"); due != 0 {
		t.Errorf("%d buckets are due for ever", due)
	}
}

// Coverage by hours is that by minutes and windows.
func TestCoverageByHours(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	seedWaits(t, dsn, server.ID)
	from := noon.Add(-time.Hour)
	for i := range 12 * 60 {
		at := from.Add(time.Duration(i) * time.Minute)
		switch {
		case i == 250: // a tick failed
			seedMinute(t, dsn, server.ID, at, 60, 59, 0, 1, 0, 60, 0)
		case i >= 400 && i < 403: // nothing
		default:
			seedMinute(t, dsn, server.ID, at, 60, 58, 2, 0, 0, 60, 0)
		}
	}
	pgtest.Exec(t, dsn, "insert into history.rollup_due select distinct server_id, 3600, date_bin('1 hour', minute, 'epoch'), 1 from history.activity_minute")
	for _, r := range []history.Range{
		{From: from, To: from.Add(12 * time.Hour)},
		{From: from.Add(17 * time.Minute), To: from.Add(11*time.Hour + 30*time.Second)},
		{From: from.Add(4 * time.Hour), To: from.Add(14 * time.Hour)},
	} {
		before, err := s.Coverage(t.Context(), server, r)
		if err != nil {
			t.Fatal(err)
		}
		if g, err := s.ground(t.Context(), server, r, true); err != nil || len(g.blocks) != 0 {
			t.Fatalf("hours that are due: %v, %v", g.blocks, err)
		}
		pgtest.Exec(t, dsn, "create table kept as select server_id, step_seconds, bucket, revision from history.rollup_due")
		rollAll(t, s, noon.AddDate(0, 0, 3))
		if g, err := s.ground(t.Context(), server, r, true); err != nil || len(g.blocks) < 6 {
			t.Fatalf("hours: %v, %v", g.blocks, err)
		}
		after, err := s.Coverage(t.Context(), server, r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(before, after); diff != "" || after.Skipped < 180 {
			t.Errorf("%v (-by minutes +by hours):\n%s%+v", r, diff, after)
		}
		pgtest.Exec(t, dsn, "insert into history.rollup_due select server_id, step_seconds, bucket, revision from kept; drop table kept")
	}
}
