package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// packNow is when the day of noon may be packed.
var packNow = time.Date(2024, 11, 23, 3, 0, 0, 0, time.UTC)

// seedDay stores random windows of a server around noon, midnight and a restart
// of the collector, with gaps, and gives what was stored.
func seedDay(t *testing.T, s *Store, name string, seed uint64) (target.Target, []sample.Batch) {
	t.Helper()
	made, err := catalogOf(t, s).CreateServer(t.Context(), exampleServer(name))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 11))
	sc := newScenario(r, noon)
	var batches []sample.Batch
	day := noon.Truncate(24 * time.Hour)
	for _, begin := range []time.Time{day, noon.Add(-40 * time.Second).Truncate(15 * time.Second), day.Add(24*time.Hour - 5*time.Minute)} {
		for i := range 20 {
			t0 := begin.Add(time.Duration(i) * 15 * time.Second)
			if sc.chance(0.1) {
				continue // nobody looked
			}
			ticks := sc.ticks(t0, int64(i)*1000+1)
			if i == 7 { // the collector was started in the midst of a window
				ticks = ticks[len(ticks)/2:]
				for k := range ticks {
					ticks[k].Window, ticks[k].Span = ticks[0].Planned, t0.Add(15*time.Second).Sub(ticks[0].Planned)
				}
			}
			for k := range ticks {
				if i > 12 && i < 16 {
					ticks[k].Cadence = 2 * time.Second
				}
				for n := range ticks[k].Sessions {
					if e := &ticks[k].Sessions[n]; e.Blocker >= 0 {
						ticks[k].Edges = append(ticks[k].Edges, sample.Edge{Blocked: e.Session, Blocker: e.Blocker, Lock: r.Int32N(2)})
					}
				}
				ticks[k].Burst = i == 3
			}
			batches = append(batches, sample.Batch{Windows: []sample.Window{sample.NewWindow(made.ID, ticks)}})
		}
	}
	locks := []sample.LockEntry{{ID: 1, Day: sc.day, Type: "relation", Mode: "ShareLock", DatabaseOID: 5, RelationOID: 77, Relation: "public.t"}}
	sc.entries.Locks = locks
	batches[0].Visits = []*sample.Visit{{Server: made.ID, Entries: sc.entries}}
	mustAppend(t, s, batches...)
	pgtest.Exec(t, dsnOf(s), fmt.Sprintf("update pgam.server set created_at = '2024-11-01' where id = %d", made.ID))
	made.CreatedAt = noon.AddDate(0, 0, -21)
	return made, batches
}

// dsnOf gives the DSN of a store.
func dsnOf(s *Store) string { return s.pool.Config().ConnString() }

// viewed is all that views and coverage say of a server's day.
func viewed(t *testing.T, s *Store, server target.Target) string {
	t.Helper()
	var b strings.Builder
	for _, view := range []string{"report.activity", "report.tick", "report.activity_minute"} {
		columns := "to_jsonb(v) - 't0'"
		b.WriteString(view + "\n" + pgtest.Value[string](t, dsnOf(s), "select coalesce(string_agg(line, E'\n' order by line), '') from (select ("+columns+
			")::text as line from "+view+` v where server_id = $1 and "time" < '2024-11-23' ) x`, server.ID) + "\n")
	}
	b.WriteString(pgtest.Value[string](t, dsnOf(s), `
select coalesce(string_agg(format('%s %s %s %s', w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond', e.blocked, e.blocker, e.lock), E'\n'
                order by w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond', e.blocked, e.blocker, e.lock), '')
  from history.activity_window w, unnest(w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock) as e (tick, blocked, blocker, lock)
 where w.server_id = $1`, server.ID))
	day := noon.Truncate(24 * time.Hour)
	for _, r := range []history.Range{
		{From: day, To: day.Add(24 * time.Hour)}, {From: noon.Add(-time.Minute), To: noon.Add(3 * time.Minute)}, {From: noon.Add(17 * time.Second), To: noon.Add(95 * time.Second)},
	} {
		c, err := s.Coverage(t.Context(), server, r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%+v\n", c)
	}
	return b.String()
}

// packTo gives what was packed, and fails on an error.
func mustPack(t *testing.T, s *Store, now time.Time) []PackedDay {
	t.Helper()
	var days []PackedDay
	if err := s.Pack(t.Context(), now, func(d PackedDay) { days = append(days, d) }); err != nil {
		t.Fatal(err)
	}
	return days
}

func windowsOf(t *testing.T, s *Store, server target.ID) int {
	t.Helper()
	return pgtest.Value[int](t, dsnOf(s), "select count(*) from history.activity_window where server_id = $1", server)
}

// Packing changes how windows are stored and nothing that is read.
func TestConformancePack(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		type stored struct {
			server  target.Target
			batches []sample.Batch
			shown   string
		}
		var all []stored
		for i := range uint64(3) {
			server, batches := seedDay(t, s, fmt.Sprintf("db%d", i), i)
			all = append(all, stored{server, batches, ""})
		}
		partitionsAround(t, s, noon.AddDate(0, 0, 1))
		before := 0
		for i := range all {
			all[i].shown = viewed(t, s, all[i].server)
			before += windowsOf(t, s, all[i].server.ID)
		}
		if days := mustPack(t, s, packNow.Add(-time.Second)); days != nil {
			t.Fatalf("packed too early: %+v", days)
		}
		bounded := bounds(t, dsn)
		days := mustPack(t, s, packNow)
		if len(days) != 1 || days[0].Windows != int64(before) || days[0].Servers != 3 || !days[0].Day.Equal(noon.Truncate(24*time.Hour)) {
			t.Fatalf("packed %+v, want %d windows of 3 servers", days, before)
		}
		after := 0
		check := func(when string) {
			t.Helper()
			after = 0
			for _, n := range all {
				if diff := cmp.Diff(n.shown, viewed(t, s, n.server)); diff != "" {
					t.Fatalf("%s (-before +after):\n%s", when, diff)
				}
				after += windowsOf(t, s, n.server.ID)
			}
		}
		check("packed")
		if int64(after) != days[0].Rows || after >= before/2 {
			t.Errorf("%d windows became %d rows, %+v", before, after, days[0])
		}
		if diff := cmp.Diff(bounded, bounds(t, dsn)); diff != "" {
			t.Errorf("partitions (-before +after):\n%s", diff)
		}
		leftovers(t, dsn)
		if got := pgtest.Value[string](t, dsn, `
select format('%s %s', (select count(*) from pg_index i where i.indrelid = c.oid and i.indisprimary and i.indexrelid = 'history.activity_window_p20241122_pkey'::regclass),
              coalesce(c.reloptions::text, 'none'))
  from pg_class c where c.oid = 'history.activity_window_p20241122'::regclass`); got != "1 none" {
			t.Errorf("the partition's key and options: %s", got)
		}
		if days := mustPack(t, s, packNow); days != nil {
			t.Errorf("packed again: %+v", days)
		}
		for _, n := range all { // what is replayed after a crash
			mustAppend(t, s, n.batches...)
		}
		rows := after
		if check("windows were written again"); after != rows {
			t.Errorf("%d rows became %d", rows, after)
		}
		if n := pgtest.Value[int](t, dsn, "select late from history.packed_day"); n != 0 {
			t.Errorf("%d late windows", n)
		}
	})
}

// leftovers reports what packing should have taken away.
func leftovers(t *testing.T, dsn string) {
	t.Helper()
	if left := tables(t, dsn, "%\\_packed"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.packing"); n != 0 {
		t.Errorf("%d servers are still noted", n)
	}
}

// A window that comes when its day is packed is stored if it is not in it yet,
// once, and the day can be packed again.
func TestPackedDayTakesLateWindows(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	begin := noon.Truncate(5 * time.Minute)
	var late []sample.Batch
	for i := range 40 {
		b := plainWindow(server, begin.Add(time.Duration(i)*15*time.Second))
		if i == 0 || i == 7 || i == 8 || i == 19 || i == 39 {
			late = append(late, b)
			continue
		}
		mustAppend(t, s, b)
	}
	if days := mustPack(t, s, packNow); len(days) != 1 || days[0].Windows != 35 {
		t.Fatalf("packed %+v", days)
	}
	rows := windowsOf(t, s, server)
	for range 2 {
		mustAppend(t, s, late...)
		if got := windowsOf(t, s, server); got != rows+len(late) {
			t.Fatalf("%d rows, want %d and %d late ones", got, rows, len(late))
		}
	}
	whole := func(when string) {
		t.Helper()
		got := pgtest.Value[string](t, dsn, `
select format('%s ticks at %s instants, %s samples, minutes %s ticks %s samples', count(*), count(distinct "time"), (select count(*) from report.activity),
              (select sum(ticks_planned) from history.activity_minute), (select sum(samples) from history.activity_minute))
  from report.tick`)
		if want := "600 ticks at 600 instants, 760 samples, minutes 600 ticks 760 samples"; got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
		// In the order of t0 the ticks are in the order of time.
		if n := pgtest.Value[int](t, dsn, `
select count(*)
  from (select t0 + tick_offset_ms[1] * interval '1 millisecond' as first,
               lag(t0 + tick_offset_ms[cardinality(tick_offset_ms)] * interval '1 millisecond') over (order by t0) as before
          from history.activity_window) w
 where first <= before`); n != 0 {
			t.Errorf("%s: %d windows overlap", when, n)
		}
	}
	whole("with late windows")
	// Five of a few rows are many.
	if days := mustPack(t, s, packNow); len(days) != 1 || days[0].Windows != 40 || days[0].Rows != 2 || days[0].Samples != 760 {
		t.Errorf("packed again: %+v", days)
	}
	whole("packed again")
	leftovers(t, dsn)
	mustAppend(t, s, late...)
	whole("written once more")
	if days := mustPack(t, s, packNow); days != nil {
		t.Errorf("packed a third time: %+v", days)
	}
}

// Ticks of another run of the collector in the time of a packed window are no
// copies of its.
func TestPackedDayTakesAnotherRun(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	run := func(from, to int) sample.Batch {
		var ticks []sample.Tick
		for i := from; i < to; i++ {
			at := noon.Add(time.Duration(i) * time.Second)
			ticks = append(ticks, sample.Tick{
				Planned: at, Started: at, Window: noon.Add(time.Duration(from) * time.Second), Span: time.Duration(15-from) * time.Second,
				Cadence: time.Second, Backends: 1,
			})
		}
		return sample.Batch{Windows: []sample.Window{sample.NewWindow(server, ticks)}}
	}
	mustAppend(t, s, run(0, 5), plainWindow(server, noon.Add(15*time.Second)))
	if days := mustPack(t, s, packNow); len(days) != 1 || days[0].Rows != 1 {
		t.Fatalf("packed %+v", days)
	}
	mustAppend(t, s, run(9, 15), run(0, 5), run(9, 15))
	if n := pgtest.Value[int](t, dsn, `select count(*) from report.tick`); n != 5+6+15 {
		t.Errorf("%d ticks", n)
	}
}

var errKilled = errors.New("killed")

// A packer that ends anywhere leaves what was there, and the next one ends the
// work.
func TestPackGoesOn(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	one, _ := seedDay(t, s, "db1", 1)
	two, _ := seedDay(t, s, "db2", 2)
	want := viewed(t, s, one) + viewed(t, s, two)
	windows := windowsOf(t, s, one.ID) + windowsOf(t, s, two.ID)
	for nth, stage := range []string{"begun", "stretch", "packed", "server", "stretch", "server", "vacuumed", "replaced", "vacuumed", "done", ""} {
		killed := false
		p := packer{s: s, reached: func(reached string) error {
			if killed = killed || reached == stage; killed {
				return errKilled
			}
			return nil
		}}
		packed := 0
		err := p.run(t.Context(), packNow, func(PackedDay) { packed++ })
		// The last but one had it done, and could not say so; nothing is left for the last.
		if last := stage == ""; packed != 0 || errors.Is(err, errKilled) == last || last && err != nil {
			t.Fatalf("stop %d at %q: %d packed, %v", nth, stage, packed, err)
		}
		if diff := cmp.Diff(want, viewed(t, s, one)+viewed(t, s, two)); diff != "" {
			t.Fatalf("stop %d at %q (-before +after):\n%s", nth, stage, diff)
		}
	}
	leftovers(t, dsn)
	if n := pgtest.Value[int](t, dsn, "select windows from history.packed_day"); n != windows {
		t.Errorf("%d windows packed, want %d", n, windows)
	}
}

// What came or went while a day was packed is not lost, nor comes back.
func TestPackSeesChanges(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	kept, purged := newServer(t, s, "db1"), newServer(t, s, "db2")
	for i := range 4 {
		mustAppend(t, s, plainWindow(kept, noon.Add(time.Duration(i)*15*time.Second)), plainWindow(purged, noon.Add(time.Duration(i)*15*time.Second)))
	}
	once := map[string]func(){
		"server": func() {
			mustAppend(t, s, plainWindow(kept, noon.Add(time.Minute)), plainWindow(purged, noon.Add(time.Minute)))
		},
		"vacuumed": func() {
			mustAppend(t, s, plainWindow(kept, noon.Add(75*time.Second)))
			if err := catalogOf(t, s).DeleteServer(t.Context(), "db2", true); err != nil {
				t.Error(err)
			}
			if _, err := s.PurgeDeleted(t.Context()); err != nil {
				t.Error(err)
			}
			if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity_window_p20241122_packed where server_id = $1", purged); n != 0 {
				t.Errorf("%d packed rows of a server that was purged", n)
			}
		},
	}
	var days []PackedDay
	p := packer{s: s, reached: func(stage string) error {
		if change := once[stage]; change != nil {
			delete(once, stage)
			change()
		}
		return nil
	}}
	if err := p.run(t.Context(), packNow, func(d PackedDay) { days = append(days, d) }); err != nil {
		t.Fatal(err)
	}
	if len(days) != 1 || days[0].Windows != 6 || days[0].Rows != 1 {
		t.Errorf("packed %+v", days)
	}
	if n := windowsOf(t, s, purged); n != 0 {
		t.Errorf("%d windows of a server that was purged", n)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from report.tick"); n != 6*15 {
		t.Errorf("%d ticks", n)
	}
	leftovers(t, dsn)
}

// A day that changes all the time is left for the next time.
func TestPackGivesUp(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server := newServer(t, s, "db1")
	mustAppend(t, s, plainWindow(server, noon))
	n := 0
	p := packer{s: s, reached: func(stage string) error {
		if stage == "vacuumed" {
			n++
			mustAppend(t, s, plainWindow(server, noon.Add(time.Duration(n)*15*time.Second)))
		}
		return nil
	}}
	err := p.run(t.Context(), packNow, func(d PackedDay) { t.Errorf("packed %+v", d) })
	if !errors.Is(err, errWindowsMoved) || n != packRounds {
		t.Errorf("%v after %d rounds", err, n)
	}
	if days := mustPack(t, s, packNow); len(days) != 1 || days[0].Windows != int64(n+1) {
		t.Errorf("packed %+v", days)
	}
}

// Someone who reads a day for long keeps it as it is, and keeps nobody from
// writing.
func TestConformancePackBesideReader(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		server := newServer(t, s, "db1")
		today := noon.AddDate(0, 0, 1)
		mustAppend(t, s, plainWindow(server, noon), plainWindow(server, today))
		end := reader(t, dsn, "select count(*) from history.activity_window where t0 < '2024-11-23'")
		done := make(chan error, 1)
		go func() { done <- s.Pack(t.Context(), packNow, func(d PackedDay) { t.Errorf("packed %+v", d) }) }()
		var err error
		for count, running := 1, true; running; count++ {
			// Held up by packing for as long as lock_timeout at most: the reader
			// reads until both have ended.
			mustAppend(t, s, plainWindow(server, today.Add(time.Duration(count)*15*time.Second)))
			select {
			case err = <-done:
				running = false
			case <-time.After(5 * time.Millisecond):
			}
		}
		if !errors.Is(err, statsdb.ErrLocked) || !strings.Contains(err.Error(), "2024-11-22") {
			t.Errorf("beside a reader: %v", err)
		}
		end()
		if days := mustPack(t, s, packNow); len(days) != 1 || days[0].Windows != 1 {
			t.Errorf("packed %+v", days)
		}
		leftovers(t, dsn)
	})
}

// An instant has the same answer before, while and after its day is packed.
func TestInstantBesidePacking(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server, batches := seedDay(t, s, "db1", 5)
	ask := func(i int) (history.Instant, error) {
		w := batches[i%len(batches)].Windows[0]
		return s.At(t.Context(), server, w.T0.Add(w.Span/2))
	}
	before := make([]history.Instant, len(batches))
	for i := range before {
		var err error
		if before[i], err = ask(i); err != nil {
			t.Fatal(err)
		}
	}
	ctx, end := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for first := range 3 {
		asking.Go(func() {
			for i := first * 17; ctx.Err() == nil; i++ {
				got, err := ask(i)
				if diff := cmp.Diff(before[i%len(before)], got); err != nil || diff != "" {
					t.Errorf("beside packing: %v\n%s", err, diff)
					return
				}
			}
		})
	}
	if days := mustPack(t, s, packNow); len(days) != 1 {
		t.Errorf("packed %+v", days)
	}
	end()
	asking.Wait()
	for i := range before {
		got, err := ask(i)
		if diff := cmp.Diff(before[i], got); err != nil || diff != "" {
			t.Errorf("packed: %v\n%s", err, diff)
		}
	}
}

// Days expire while they are packed, and packing takes nothing that is not
// pgam's.
func TestPackBesideRetention(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	old := noon.AddDate(0, 0, -40)
	mustAppend(t, s, plainWindow(server, old), plainWindow(server, noon))
	pgtest.Exec(t, dsn, "create table history.activity_window_p20241122_packed (a integer)")
	p := packer{s: s, reached: func(stage string) error {
		if stage == "packed" || stage == "done" {
			return errKilled
		}
		return nil
	}}
	err := p.run(t.Context(), packNow, func(d PackedDay) { t.Errorf("packed %+v", d) })
	if !errors.Is(err, errKilled) || !strings.Contains(err.Error(), "rename or drop it") {
		t.Fatal(err)
	}
	if left := tables(t, dsn, "%\\_packed"); len(left) != 2 {
		t.Fatalf("half packed: %v", left)
	}
	if err := s.EnsurePartitions(t.Context(), old, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := s.dropExpired(t.Context(), noon, keepDays(30, 90, 90, true)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"activity_window_p20241122_packed"}, tables(t, dsn, "%\\_packed")); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	pgtest.Exec(t, dsn, "drop table history.activity_window_p20241122_packed")
	mustPack(t, s, packNow)
	if got := pgtest.Value[int](t, dsn, "select count(*) from history.packed_day where windows > 0"); got != 1 {
		t.Errorf("%d packed days", got)
	}
	if _, err := s.dropExpired(t.Context(), noon.AddDate(0, 0, 60), keepDays(30, 90, 90, true)); err != nil {
		t.Fatal(err)
	}
	partitionsAround(t, s, noon.AddDate(0, 0, 60))
	if _, err := s.dropExpired(t.Context(), noon.AddDate(0, 0, 60), keepDays(30, 90, 90, true)); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[int](t, dsn, "select count(*) from history.packed_day"); got != 0 {
		t.Errorf("%d packed days are remembered", got)
	}
	leftovers(t, dsn)
}

// A packer that is told to stop does so at once.
func TestPackStops(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	seedDay(t, s, "db1", 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	p := packer{s: s, reached: func(stage string) error {
		if stage == "stretch" {
			cancel(errKilled)
		}
		return nil
	}}
	if err := p.run(ctx, packNow, func(d PackedDay) { t.Errorf("packed %+v", d) }); !errors.Is(err, errKilled) {
		t.Error(err)
	}
	if days := mustPack(t, s, packNow); len(days) != 1 {
		t.Errorf("packed %+v", days)
	}
}
