package ingest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

// TestAppendMakesPartitions: what is of a time for which nobody made partitions is
// written, however old or new it is.
func TestAppendMakesPartitions(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "db1")
	for _, at := range []time.Time{noon.AddDate(-3, 0, 0), noon.AddDate(2, 1, 0)} {
		visits := slotOf(at)
		later := at.AddDate(0, 2, 0)
		visits[1].Look = &sample.Look{Planned: later, At: later, Databases: 1}
		visits[1].Databases = []sample.DatabaseStat{{Planned: later, At: later, OID: 5}}
		visits[1].Sizes = []sample.DatabaseSize{{At: at.AddDate(0, 3, 0), OID: 5}}
		mustAppend(t, w, id, visits...)
		mustAppend(t, w, id, visits...)
	}
	got := pgtest.Value[[]string](t, dsn, `
select array_agg(distinct x.name) from (select tableoid::regclass::text as name from history.database_stat
 union all select tableoid::regclass::text from history.database_look
 union all select tableoid::regclass::text from history.database_size union all select tableoid::regclass::text from history.session) x`)
	want := []string{
		"history.database_look_p20220122", "history.database_look_p20270222",
		"history.database_size_p202202", "history.database_size_p202703",
		"history.database_stat_p20220122", "history.database_stat_p20270222", "history.session_p20211122", "history.session_p20261222",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	if n := pgtest.Value[int](t, dsn, "select sum(ticks_ok) from history.activity_recent"); n != 30 {
		t.Errorf("%d ticks", n)
	}
}

// TestAppendExpired: what is older than samples are kept is left out, and counted;
// what is kept longer is not.
func TestAppendExpired(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "db1")
	pgtest.Exec(t, dsn, "insert into pgam.setting (name, environment) values ('PGAM_RETENTION_ACTIVITY', '30d')")
	now := time.Now().UTC().Truncate(time.Second)
	for _, at := range []time.Time{now.AddDate(0, 0, -29), now.AddDate(0, 0, -31), now} {
		visits := slotOf(at.Truncate(sample.SlotLength))
		visits[0].Look, visits[0].Databases = &sample.Look{Planned: at, At: at, Databases: 1}, []sample.DatabaseStat{{Planned: at, At: at, OID: 5}}
		visits[0].Sizes = []sample.DatabaseSize{{At: at, OID: 5}}
		mustAppend(t, w, id, visits...)
	}
	if got := pgtest.Value[[]int64](t, dsn, `
select array[(select sum(ticks_ok) from history.activity_recent), (select count(*) from history.database_look), (select count(*) from history.database_stat),
             (select count(*) from history.database_size)]`); !cmp.Equal(got, []int64{30, 2, 2, 3}) {
		t.Errorf("ticks, looks, rows and sizes: %v", got)
	}
	if w.Expired() != 15 {
		t.Errorf("%d ticks are counted as expired", w.Expired())
	}
}

// TestAppendEntries: what a key stands for is kept as it was told first; what is
// missing is filled in, and the last day moves on, whatever comes twice.
func TestAppendEntries(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "db1")
	day := sample.Day(noon)
	entries := func(e sample.Entries) {
		t.Helper()
		mustAppend(t, w, id, &sample.Visit{Entries: e})
	}
	const odd = "it's \"odd\"\n\\ 'x'; drop table history.session; -- größe 日本 \U0001F418"
	first := sample.Entries{
		Sessions: []sample.SessionEntry{{
			Key: -9, Day: day, PID: 4711, BackendStart: noon.UnixMicro() + 123456, DatabaseOID: 4294967295, UserOID: 10,
			LeaderPID: 4700, Application: odd, ClientAddr: "fe80::1%eth0", BackendType: "parallel worker",
		}, {Key: 10, Day: day, PID: -1}},
		Waits:   []sample.WaitEntry{{Key: 7, Day: day, Class: sample.ClassIO, State: odd, Type: odd, Event: odd}},
		Queries: []sample.QueryEntry{{Key: 3, Day: day, QueryID: -9223372036854775808, Own: true}},
	}
	named := sample.Entries{
		Sessions: []sample.SessionEntry{{Key: -9, Day: day, PID: 4711, Database: odd, User: odd, Application: odd}},
		Queries:  []sample.QueryEntry{{Key: 3, Day: day + 2, QueryID: -9223372036854775808, Own: true, Text: odd}},
	}
	other := sample.Entries{
		Sessions: []sample.SessionEntry{{Key: -9, Day: day, PID: 4711, Database: "other", User: "other"}},
		Waits:    []sample.WaitEntry{{Key: 7, Day: day, State: "other"}},
		Queries:  []sample.QueryEntry{{Key: 3, Day: day + 1, QueryID: 1, Text: "other"}},
	}
	check := func(when, database, text, seen string) {
		t.Helper()
		type row struct{ sql, want string }
		for _, r := range []row{
			{`select concat_ws(' ', pid, backend_start at time zone 'UTC', database_oid, user_oid, client_addr, backend_type, leader_pid) || application_name || coalesce(database_name, '') || coalesce(user_name, '')
from history.session where key = -9`, "4711 2024-11-22 12:00:00.123456 4294967295 10 fe80::1%eth0 parallel worker 4700" + odd + database + database},
			{`select concat_ws(' ', query_id, own, text_full, first_seen_on, last_seen_on) || coalesce(text, '') from history.query where key = 3`, "-9223372036854775808 t f 2024-11-22 " + seen + text},
			{`select class || state || wait_event_type || wait_event from history.wait`, "3" + odd + odd + odd},
			{`select concat_ws(' ', pid, backend_start, database_oid, user_oid, client_addr, leader_pid) from history.session where key = 10`, "-1"},
		} {
			if got := pgtest.Value[string](t, dsn, r.sql); got != r.want {
				t.Errorf("%s: %q, want %q", when, got, r.want)
			}
		}
	}
	entries(first)
	check("at first", "", "", "2024-11-22")
	entries(named)
	check("with names", odd, odd, "2024-11-24")
	for _, e := range []sample.Entries{first, named, other, first} {
		entries(e)
	}
	check("after replays", odd, odd, "2024-11-24")

	// A text that comes with an older day fills in the text only.
	entries(sample.Entries{Queries: []sample.QueryEntry{{Key: 4, Day: day + 2, QueryID: 5}}})
	entries(sample.Entries{Queries: []sample.QueryEntry{{Key: 4, Day: day, QueryID: 5, Text: "late"}}})
	got := pgtest.Value[string](t, dsn, "select text || ' ' || (last_seen_on - first_seen_on) || ' ' || last_seen_on from history.query where key = 4")
	if got != "late 0 2024-11-24" {
		t.Errorf("a late text makes it %q", got)
	}
}

// TestAppendDataError: what no stats_db would take is told from one that is away,
// and nothing beside it is written.
func TestAppendDataError(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "db1")
	fails := func(name string, visits []*sample.Visit) {
		t.Helper()
		if err := w.Append(t.Context(), id, visits); err == nil || !statsdb.Refused(err) || errors.Is(err, statsdb.ErrUnavailable) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, text := range map[string]string{"NUL": "a\x00b", "no UTF-8": "\xff"} {
		visits := slotOf(noon)
		visits[0].Entries.Queries[0].Text = text
		fails(name, visits)
	}
	pgtest.Exec(t, dsn, "alter table history.activity_recent add constraint none check (cpu = 0)")
	fails("a check that the data breaks", slotOf(noon))
	for _, table := range []string{"activity_recent", "session", "wait", "query", "progress"} {
		if n := pgtest.Value[int](t, dsn, "select count(*) from history."+table); n != 0 {
			t.Errorf("%d rows in %s of what failed", n, table)
		}
	}
	pgtest.Exec(t, dsn, "alter table history.activity_recent drop constraint none")
	mustAppend(t, w, id, slotOf(noon)...)
}

// TestAppendUnavailable: a stats_db that is away, or read only, is for later.
func TestAppendUnavailable(t *testing.T) {
	t.Parallel()
	server, w := openOn(t, pgtest.Local(t).Major)
	dsn := server.SuperuserDSN()
	id := newServer(t, dsn, "db1")
	mustAppend(t, w, id, slotOf(noon)...)
	server.Stop(t)
	for range 2 {
		if err := w.Append(t.Context(), id, slotOf(noon)); !errors.Is(err, statsdb.ErrUnavailable) {
			t.Errorf("stopped: error %v", err)
		}
	}
	server.Start(t)
	mustAppend(t, w, id, slotOf(noon)...)
	server.Exec(t, "alter system set default_transaction_read_only = on", "select pg_reload_conf()")
	pgtest.WaitFor(t, func() bool {
		return errors.Is(w.Append(t.Context(), id, slotOf(noon)), statsdb.ErrUnavailable)
	}, "Append to a read-only stats_db to be for later")
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity_recent"); n != 1 {
		t.Errorf("%d slots", n)
	}
}
