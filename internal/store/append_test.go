package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// newServer makes a server to append history to.
func newServer(t *testing.T, s *Store, name string) target.ID {
	t.Helper()
	made, err := catalogOf(t, s).CreateServer(t.Context(), exampleServer(name))
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// plainWindow is a window of 15 ticks, a second apart: one session on the CPU
// in each, a second one waiting for a lock in the last five, with the entries.
func plainWindow(server target.ID, t0 time.Time) sample.Batch {
	ticks := make([]sample.Tick, 15)
	for i := range ticks {
		at := t0.Add(time.Duration(i) * time.Second)
		ticks[i] = sample.Tick{
			Planned: at, Started: at, Window: t0, Span: 15 * time.Second, Cadence: time.Second, Duration: time.Millisecond, Backends: 7,
			Sessions: []sample.Session{{Session: 1, Wait: 1, Class: sample.ClassCPU, Query: 1, QueryStart: t0.UnixMicro(), Blocker: sample.Unset}},
		}
		if i >= 10 {
			ticks[i].Sessions = append(ticks[i].Sessions, sample.Session{
				Session: 2, Wait: 2, Class: sample.ClassLock, Query: 1, QueryStart: t0.UnixMicro(), Blocker: 1,
			})
		}
	}
	ticks[3].Outcome, ticks[3].Reason = sample.Degraded, sample.LockTimeout
	ticks[4].Outcome, ticks[4].Reason, ticks[4].Sessions, ticks[4].Backends = sample.Failed, sample.Timeout, nil, sample.Unset
	day := sample.Day(t0)
	return sample.Batch{
		Windows: []sample.Window{sample.NewWindow(server, ticks)},
		Visits: []*sample.Visit{{Server: server, Entries: sample.Entries{
			Sessions: []sample.SessionEntry{{ID: 1, Day: day, PID: 101, BackendType: "client backend"}, {ID: 2, Day: day, PID: 102, BackendType: "client backend"}},
			Waits:    []sample.WaitEntry{{ID: 1, State: "active", Type: sample.CPU}, {ID: 2, State: "active", Type: "Lock", Event: "transactionid"}},
			Queries:  []sample.QueryEntry{{ID: 1, Day: day, QueryID: 42, Text: "select ?"}},
		}}},
	}
}

func mustAppend(t *testing.T, s *Store, batches ...sample.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// row gives the one row of a query as column=value, nulls left out.
func row(t *testing.T, dsn, sql string) map[string]any {
	t.Helper()
	all := rows(t, dsn, sql)
	if len(all) != 1 {
		t.Fatalf("%d rows of %s", len(all), sql)
	}
	return all[0]
}

func rows(t *testing.T, dsn, sql string) []map[string]any {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	found, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowToMap)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		for name, value := range r {
			if at, ok := value.(time.Time); ok {
				r[name] = at.UTC()
			}
			if value == nil {
				delete(r, name)
			}
		}
	}
	return all
}

// minutes reads the sums that must not be added to twice.
func minutes(t *testing.T, dsn string) string {
	t.Helper()
	return pgtest.Value[string](t, dsn, `
select coalesce(string_agg(format('%s %s: %s planned, %s/%s/%s/%s, %s samples, cpu %s, lock %s, max %s of %s', server_id, to_char(minute at time zone 'UTC', 'HH24:MI'),
       ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped, samples, cpu, lock, max_sessions, max_backends), E'\n' order by server_id, minute), '')
  from history.activity_minute`)
}

func TestAppendTwice(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	b := plainWindow(server, noon)
	mustAppend(t, s, b, b, plainWindow(server, noon), plainWindow(server, noon.Add(15*time.Second)))

	want := fmt.Sprintf("%d 12:00: 30 planned, 26/2/2/0, 38 samples, cpu 28, lock 10, max 2 of 7", server)
	if got := minutes(t, dsn); got != want {
		t.Errorf("minutes\n%s\nwant\n%s", got, want)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity_window"); n != 2 {
		t.Errorf("%d windows", n)
	}
	for table, want := range map[string]int{"session": 2, "wait": 2, "query": 1} {
		if n := pgtest.Value[int](t, dsn, "select count(*) from history."+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
}

// The most of a minute is the most of its windows, in whatever order they
// come, and known if it was in one of them.
func TestAppendMinuteMaxima(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]int{"first": {0, 1, 2}, "last": {1, 2, 0}, "between": {2, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dsn := openStore(t)
			server := newServer(t, s, "db1")
			for i, what := range order {
				t0 := noon.Add(time.Duration(i) * 15 * time.Second)
				tick := sample.Tick{Planned: t0, Started: t0, Window: t0, Span: 15 * time.Second, Cadence: time.Second}
				switch what {
				case 0:
					tick.Backends, tick.Sessions = 9, []sample.Session{{Session: 1, Wait: 1}, {Session: 2, Wait: 1}}
				case 1:
					tick.Backends = 3
				case 2:
					tick.Backends, tick.Outcome, tick.Reason = sample.Unset, sample.Skipped, sample.Overrun
				}
				mustAppend(t, s, sample.Batch{Windows: []sample.Window{sample.NewWindow(server, []sample.Tick{tick})}})
			}
			want := fmt.Sprintf("%d 12:00: 3 planned, 2/0/0/1, 2 samples, cpu 2, lock 0, max 2 of 9", server)
			if got := minutes(t, dsn); got != want {
				t.Errorf("minute\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAppendConcurrently(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	// The same windows by two writers at once, in opposite orders, with all
	// partitions missing: each waits for the other's rows or retries.
	const count = 20
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := range count {
				n := i
				if w == 1 {
					n = count - 1 - i
				}
				b := plainWindow(server, noon.Add(time.Duration(n)*15*time.Second))
				err := s.Append(t.Context(), b)
				for try := 0; statsdb.MayPass(err) && try < 10; try++ {
					err = s.Append(t.Context(), b)
				}
				errs[w] = errors.Join(errs[w], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	var want []string
	for m := range 5 {
		want = append(want, fmt.Sprintf("%d 12:%02d: 60 planned, 52/4/4/0, 76 samples, cpu 56, lock 20, max 2 of 7", server, m))
	}
	if diff := cmp.Diff(want, strings.Split(minutes(t, dsn), "\n")); diff != "" {
		t.Errorf("minutes (-want +got):\n%s", diff)
	}
}

func TestAppendMakesPartitions(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	old, future := noon.AddDate(-3, 0, 0), noon.AddDate(2, 1, 0)
	for _, at := range []time.Time{old, future} {
		b := plainWindow(server, at)
		b.Visits[0].Databases = []sample.DatabaseStat{{At: at.AddDate(0, 2, 0), OID: 5, Epoch: at}}
		b.Visits[0].Sizes = []sample.DatabaseSize{{At: at.AddDate(0, 3, 0), OID: 5}}
		mustAppend(t, s, b, b)
	}
	got := pgtest.Value[[]string](t, dsn, "select array_agg(tableoid::regclass::text order by t0) from history.activity_window")
	if diff := cmp.Diff([]string{"history.activity_window_p20211122", "history.activity_window_p20261222"}, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	got = pgtest.Value[[]string](t, dsn, `
select array_agg(distinct x.name) from (select tableoid::regclass::text as name from history.database_stat
 union all select tableoid::regclass::text from history.database_size union all select tableoid::regclass::text from history.session
 union all select tableoid::regclass::text from history.activity_minute) x`)
	want := []string{
		"history.activity_minute_p202111", "history.activity_minute_p202612", "history.database_size_p202202", "history.database_size_p202703",
		"history.database_stat_p202201", "history.database_stat_p202702", "history.session_p20211122", "history.session_p20261222",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
}

func TestAppendEntries(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	day := sample.Day(noon)
	entries := func(e sample.Entries) sample.Batch {
		return sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: e}}}
	}
	const odd = "it's \"odd\"\n\\ 'x'; drop table history.session; -- größe 日本 \U0001F418"
	first := entries(sample.Entries{
		Sessions: []sample.SessionEntry{{
			ID: 9, Day: day, PID: 4711, BackendStart: noon.UnixMicro() + 123456, DatabaseOID: 4294967295, UserOID: 10,
			LeaderPID: 4700, Application: odd, ClientAddr: "fe80::1%eth0", BackendType: "parallel worker",
		}, {ID: 10, Day: day, PID: -1}},
		Waits:   []sample.WaitEntry{{ID: 32767, State: odd, Type: odd, Event: odd}},
		Queries: []sample.QueryEntry{{ID: 3, Day: day, QueryID: -9223372036854775808, Own: true}},
	})
	named := entries(sample.Entries{
		Sessions: []sample.SessionEntry{{ID: 9, Day: day, PID: 4711, Database: odd, User: odd, Application: odd}},
		Queries:  []sample.QueryEntry{{ID: 3, Day: day + 2, QueryID: -9223372036854775808, Own: true, Text: odd}},
	})
	other := entries(sample.Entries{
		Sessions: []sample.SessionEntry{{ID: 9, Day: day, PID: 4711, Database: "other", User: "other"}},
		Waits:    []sample.WaitEntry{{ID: 32767, State: "other"}},
		Queries:  []sample.QueryEntry{{ID: 3, Day: day + 1, QueryID: 1, Text: "other"}},
	})
	wantSession := map[string]any{
		"server_id": int64(server), "day": noon.Truncate(24 * time.Hour), "id": int32(9), "pid": int32(4711),
		"backend_start": noon.Add(123456 * time.Microsecond), "database_oid": uint32(4294967295), "user_oid": uint32(10),
		"application_name": odd, "client_addr": "fe80::1%eth0", "backend_type": "parallel worker", "leader_pid": int32(4700),
	}
	wantQuery := map[string]any{
		"server_id": int64(server), "id": int32(3), "query_id": int64(-9223372036854775808), "own": true, "text_full": false,
		"first_seen_on": noon.Truncate(24 * time.Hour), "last_seen_on": noon.Truncate(24 * time.Hour),
	}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(wantSession, rows(t, dsn, "table history.session order by id")[0]); diff != "" {
			t.Errorf("%s: session (-want +got):\n%s", when, diff)
		}
		if diff := cmp.Diff(wantQuery, row(t, dsn, "table history.query")); diff != "" {
			t.Errorf("%s: query (-want +got):\n%s", when, diff)
		}
		want := map[string]any{"server_id": int64(server), "id": int16(32767), "state": odd, "wait_event_type": odd, "wait_event": odd}
		if diff := cmp.Diff(want, row(t, dsn, "table history.wait")); diff != "" {
			t.Errorf("%s: wait (-want +got):\n%s", when, diff)
		}
	}
	mustAppend(t, s, first)
	check("at first")
	want := map[string]any{
		"server_id": int64(server), "day": noon.Truncate(24 * time.Hour), "id": int32(10), "pid": int32(-1),
		"application_name": "", "backend_type": "",
	}
	if diff := cmp.Diff(want, rows(t, dsn, "table history.session order by id")[1]); diff != "" {
		t.Errorf("session of which nothing is known (-want +got):\n%s", diff)
	}

	mustAppend(t, s, named)
	wantSession["database_name"], wantSession["user_name"] = odd, odd
	wantQuery["text"], wantQuery["last_seen_on"] = odd, noon.Truncate(24*time.Hour).AddDate(0, 0, 2)
	check("with names")
	mustAppend(t, s, first, named, other, first)
	check("after replays")

	// A text that comes with an older day fills in the text only.
	text := func(day int32, text string) sample.Batch {
		return entries(sample.Entries{Queries: []sample.QueryEntry{{ID: 4, Day: day, QueryID: 5, Text: text}}})
	}
	mustAppend(t, s, text(day+2, ""), text(day, "late"))
	got := pgtest.Value[string](t, dsn, "select text || ' ' || (last_seen_on - first_seen_on) || ' ' || last_seen_on from history.query where id = 4")
	if got != "late 0 2024-11-24" {
		t.Errorf("a late text makes it %q", got)
	}
}

func TestAppendDataError(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	for name, text := range map[string]string{"NUL": "a\x00b", "no UTF-8": "\xff"} {
		b := plainWindow(server, noon)
		b.Visits[0].Entries.Queries[0].Text = text
		err := s.Append(t.Context(), b)
		if err == nil || errors.Is(err, statsdb.ErrUnavailable) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	b := plainWindow(server, noon)
	b.Windows[0].Minute.Classes[0] = -1
	pgtest.Exec(t, dsn, "alter table history.activity_minute add check (cpu >= 0)")
	if err := s.Append(t.Context(), b); err == nil || errors.Is(err, statsdb.ErrUnavailable) {
		t.Errorf("a check that the data breaks: error %v", err)
	}
	for _, table := range []string{"activity_window", "activity_minute", "session", "wait", "query"} {
		if n := pgtest.Value[int](t, dsn, "select count(*) from history."+table); n != 0 {
			t.Errorf("%d rows in %s of batches that failed", n, table)
		}
	}
	mustAppend(t, s, plainWindow(server, noon))
}

func TestAppendUnavailable(t *testing.T) {
	t.Parallel()
	server, s := storeOn(t, pgtest.Local(t).Major)
	id := newServer(t, s, "db1")
	b := plainWindow(id, noon)
	mustAppend(t, s, b)
	server.Stop(t)
	for range 2 {
		if err := s.Append(t.Context(), b); !errors.Is(err, statsdb.ErrUnavailable) {
			t.Errorf("stopped: error %v", err)
		}
	}
	server.Start(t)
	mustAppend(t, s, b)
	server.Exec(t, "alter system set default_transaction_read_only = on", "select pg_reload_conf()")
	pgtest.WaitFor(t, func() bool {
		return errors.Is(s.Append(t.Context(), b), statsdb.ErrUnavailable)
	}, "Append to a read-only stats_db to be for later")
	if n := pgtest.Value[int](t, server.SuperuserDSN(), "select count(*) from history.activity_window"); n != 1 {
		t.Errorf("%d windows", n)
	}
}
