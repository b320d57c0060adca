package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// guarded is a stats_db on a server of the test's own, written by a role that is
// neither superuser nor owner of anything.
type guarded struct {
	t      *testing.T
	server *pgtest.Server
	admin  string // DSN of the superuser, in stats_db
}

const keeperPassword = "keeper's"

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, server: pgtest.Target(t)}
	g.server.Exec(t, "create database stats_db", "create role keeper login password '"+strings.ReplaceAll(keeperPassword, "'", "''")+"'")
	g.admin = g.server.DatabaseDSN(pgtest.Superuser, "stats_db")
	conn, err := pgx.Connect(t.Context(), g.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := schema.Up(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "keyring.json")
	if err := secret.WriteKeyring(key); err != nil {
		t.Fatal(err)
	}
	ring, err := secret.ReadKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(g.admin)})
	defer db.Close()
	stored := catalog.New(db, ring)
	for i := range 3 {
		made, err := stored.CreateServer(t.Context(), target.Target{Name: fmt.Sprint("db", i+1), Endpoint: target.Endpoint{Host: "127.0.0.1", Port: 5432, User: "pgam"}})
		if err != nil || made.ID != target.ID(i+1) {
			t.Fatal(made.ID, err)
		}
	}
	if err := ingest.New(db, sample.Hash{}).EnsurePartitions(t.Context(), time.Now().AddDate(0, 0, -1), time.Now().AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	g.exec("grant usage on schema history, pgam, report to keeper",
		"grant all on all tables in schema history, pgam, report to keeper", "grant select on public.pgam_schema_version to keeper")
	return g
}

func (g *guarded) exec(statements ...string) {
	g.t.Helper()
	pgtest.Exec(g.t, g.admin, statements...)
}

// hba puts a line before the server's own rules, or takes it away again.
func (g *guarded) hba(line string, there bool) {
	g.t.Helper()
	file := pgtest.Value[string](g.t, g.server.SuperuserDSN(), "show hba_file")
	text, err := os.ReadFile(file)
	if err != nil {
		g.t.Fatal(err)
	}
	now := strings.ReplaceAll(string(text), line+"\n", "")
	if there {
		now = line + "\n" + now
	}
	if err := os.WriteFile(file, []byte(now), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.server.Exec(g.t, "select pg_reload_conf()")
	pgtest.WaitFor(g.t, func() bool {
		conn, err := pgx.Connect(g.t.Context(), g.keeper())
		if err == nil {
			_ = conn.Close(g.t.Context())
		}
		return (err != nil) == there
	}, "the rule")
}

func (g *guarded) keeper() string {
	return pgtest.WithUser(g.t, g.server.DatabaseDSN(pgtest.Superuser, "stats_db"), "keeper", keeperPassword)
}

// drain has a collector write what is in a journal, as one does that stops, and
// gives what it says then.
func (g *guarded) drain(kept *journal.Journal) error {
	g.t.Helper()
	db := pgtest.OpenStatsDB(g.t, statsdb.Config{DSN: secret.New(g.keeper()), Application: "pgam-collector"})
	defer db.Close()
	c, err := collector.New(collector.Config{
		Dialer: dialer{}, Catalog: servers{}, History: history{ingest.New(db, sample.Hash{})}, Journal: kept, Log: slog.New(slog.DiscardHandler),
		Intervals:     target.Intervals{Activity: time.Second, Databases: time.Second, Inventory: time.Second, Sizes: time.Second},
		MaxConnecting: 1, Burst: collector.Burst{Length: time.Minute, Pause: time.Minute},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := c.Stop(context.Background()); err != nil {
		g.t.Error(err)
	}
	return c.Writes()
}

func openJournal(t *testing.T) *journal.Journal {
	t.Helper()
	kept, err := journal.Open(journal.Config{Dir: t.TempDir(), MaxBytes: 64 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	return kept
}

// fill appends a minute of three servers from an instant, a record for five seconds.
func fill(t *testing.T, kept *journal.Journal, from time.Time) {
	t.Helper()
	for sec := range 60 {
		at := from.Add(time.Duration(sec) * time.Second)
		for id := target.ID(1); id <= 3; id++ {
			v := &sample.Visit{Server: id, Tick: &sample.Tick{
				Planned: at, Started: at, Cadence: time.Second, Backends: 3,
				Sessions: []sample.Session{{Session: 1, Wait: 1, Class: sample.ClassCPU, Query: 1, QueryStart: at.UnixMicro()}},
			}}
			if sec%30 == 0 {
				v.Entries = sample.Entries{
					Sessions: []sample.SessionEntry{{Key: 1, Day: sample.Day(at), PID: 101, Application: "app", BackendType: "client backend"}},
					Waits:    []sample.WaitEntry{{Key: 1, Day: sample.Day(at), State: "active", Type: sample.CPU}},
					Queries:  []sample.QueryEntry{{Key: 1, Day: sample.Day(at), QueryID: 42, Text: "select ?"}},
				}
			}
			kept.Append(v)
		}
		if sec%5 == 4 {
			if err := kept.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ticks gives the ticks stored of each server from an instant, as they are and as
// they are counted, and the samples that have names.
func (g *guarded) ticks(from time.Time) string {
	g.t.Helper()
	return pgtest.Value[string](g.t, g.admin, `
select coalesce(string_agg(format('%s: %s %s %s', server_id, ticks, counted, named), ', ' order by server_id), '')
  from (select r.server_id, sum(cardinality(r.tick_planned_ms)) as ticks, sum(r.ticks_ok) as counted,
               sum((select count(*)
                      from unnest(r.sample_session, r.sample_wait) u (session, wait)
                      join history.session s on s.server_id = r.server_id and s.day = (r.slot at time zone 'UTC')::date and s.key = r.session_keys[u.session]
                      join history.wait w on w.server_id = r.server_id and w.key = r.wait_keys[u.wait]
                     where s.application_name = 'app' and w.wait_event_type = 'CPU')) as named
          from history.activity_recent r
         where r.slot >= $1::timestamptz and r.slot < $1::timestamptz + interval '1 minute'
         group by 1) w`, from)
}

const allTicks = "1: 60 60 60, 2: 60 60 60, 3: 60 60 60"

// raising makes every insert into a table fail with an SQLSTATE, as whatever is
// behind that SQLSTATE would.
func raising(state string) (refuse, heal []string) {
	return []string{`
create function public.refuse() returns trigger language plpgsql as $$
begin
  raise exception 'refused by the test' using errcode = '` + state + `';
end $$`, "create trigger refuse before insert on history.activity_recent for each statement execute function public.refuse()"},
		[]string{"drop trigger refuse on history.activity_recent", "drop function public.refuse()"}
}

// TestARefusingStatsDBLosesNothing has stats_db refuse in every way that was seen,
// on a real server: nothing is written, nothing is lost or set aside, the SQLSTATE
// is told with advice; once it is healed, everything is there once.
func TestARefusingStatsDBLosesNothing(t *testing.T) { //nolint:tparallel // one server refuses in one way after another
	t.Parallel()
	g := newGuarded(t)
	postgres := func(statements ...string) func() {
		return func() { g.server.Exec(t, statements...) }
	}
	inStats := func(statements ...string) func() { return func() { g.exec(statements...) } }
	// Yesterday's partition is as long as a day at any hour; each way has a minute of
	// its own.
	from := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	partition := "history.session_p" + from.Format("20060102")
	type way struct {
		name, state  string
		refuse, heal func()
	}
	ways := []way{
		{"password", "28P01", postgres("alter role keeper password 'another'"), postgres("alter role keeper password '" + strings.ReplaceAll(keeperPassword, "'", "''") + "'")},
		{"pg_hba", "28000", func() { g.hba("host all keeper all reject", true) }, func() { g.hba("host all keeper all reject", false) }},
		{"nologin", "28000", postgres("alter role keeper nologin"), postgres("alter role keeper login")},
		{"renamed", "3D000", postgres("alter database stats_db rename to elsewhere"), postgres("alter database elsewhere rename to stats_db")},
		{"closed", "55000", postgres("alter database stats_db allow_connections false"), postgres("alter database stats_db allow_connections true")},
		{"read only", "25006", postgres("alter role keeper set default_transaction_read_only = on"), postgres("alter role keeper reset default_transaction_read_only")},
		{"schema revoked", "42501", inStats("revoke usage on schema history from keeper"), inStats("grant usage on schema history to keeper")},
		{"table revoked", "42501", inStats("revoke insert on history.activity_recent from keeper"), inStats("grant insert on history.activity_recent to keeper")},
		{"table missing", "42P01", inStats("alter table history.query rename to q"), inStats("alter table history.q rename to query")},
		{"column missing", "42703", inStats("alter table history.session rename column pid to p"), inStats("alter table history.session rename column p to pid")},
		{"partition missing", "42501", inStats("alter table history.session detach partition " + partition), inStats(fmt.Sprintf(
			"alter table history.session attach partition %s for values from ('%s') to ('%s')", partition,
			from.Format(time.DateOnly), from.AddDate(0, 0, 1).Format(time.DateOnly)))},
	}
	for _, state := range []string{
		"0A000", "08P01", "26000", "53100", "53300", "54000", "55P03", "57014", "57P03", "58030", "58P01", "P0001", "XX000", "XX001", "XX002", "ZZ999",
	} {
		refuse, heal := raising(state)
		ways = append(ways, way{"raised " + state, state, inStats(refuse...), inStats(heal...)})
	}
	for _, w := range ways {
		from = from.Add(time.Minute)
		t.Run(w.name, func(t *testing.T) {
			g := &guarded{t: t, server: g.server, admin: g.admin}
			kept := openJournal(t)
			fill(t, kept, from)
			w.refuse()
			for range 2 { // the second time over what the first one left
				err := g.drain(kept)
				if !errors.Is(err, collector.ErrNotWritten) || statsdb.SQLState(err) != w.state || len(strings.TrimSpace(statsdb.Advice(err))) < 20 {
					t.Errorf("says %v", err)
				}
			}
			st := kept.Stats()
			w.heal()
			if st.Quarantined != 0 || st.Records == 0 {
				t.Errorf("while refused: %+v", st)
			}
			if err := g.drain(kept); err != nil {
				t.Error(err)
			}
			if got := g.ticks(from); got != allTicks {
				t.Errorf("ticks %s, want %s", got, allTicks)
			}
			if err := kept.Sync(); err != nil {
				t.Fatal(err)
			}
			if st := kept.Stats(); st.Records != 0 || st.Quarantined != 0 {
				t.Errorf("at last: %+v", st)
			}
		})
	}
}

// TestBadDataIsSetAsideAndReplayed: what breaks a constraint waits aside, bounded
// and listed, while everything else is written; when the constraint is gone,
// Replay brings it back.
func TestBadDataIsSetAsideAndReplayed(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	kept := openJournal(t)
	from := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	fill(t, kept, from)
	g.exec("alter table history.activity_recent add constraint no_two check (server_id <> 2)")
	if err := g.drain(kept); err != nil {
		t.Errorf("what is set aside is no trouble of stats_db: %v", err)
	}
	if got, want := g.ticks(from), "1: 60 60 60, 3: 60 60 60"; got != want {
		t.Errorf("ticks %s, want %s", got, want)
	}
	list, err := kept.Aside()
	if err != nil || len(list) != 12 {
		t.Fatalf("%d records are set aside, %v", len(list), err)
	}
	for _, one := range list {
		if one.Server != 2 || one.Visits != 5 || !strings.Contains(one.Why, "no_two") || !strings.Contains(one.Why, "23514") {
			t.Errorf("set aside: %+v", one)
		}
	}
	g.exec("alter table history.activity_recent drop constraint no_two")
	if n, err := kept.Replay(nil); n != 12 || err != nil {
		t.Errorf("%d were replayed, %v", n, err)
	}
	if err := g.drain(kept); err != nil {
		t.Error(err)
	}
	if got := g.ticks(from); got != allTicks {
		t.Errorf("ticks %s, want %s", got, allTicks)
	}
	if st := kept.Stats(); st.Aside != 0 {
		t.Errorf("%+v", st)
	}
}
