package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// nameless tells the session samples that are stored, and how many of them a
// reader does not see or sees without names; a worker of the server has no user.
const nameless = `
select count(*), count(*) filter (where a.named is not true)
  from (select server_id, slot as at, sample_session, sample_wait, session_keys, wait_keys from history.activity_recent
         union all
        select server_id, bucket, sample_session, sample_wait, session_keys, wait_keys from history.activity) r
 cross join lateral unnest(r.sample_session, r.sample_wait) u (session, wait)
  left join lateral (select true as named from history.session s, history.wait x
                      where s.server_id = r.server_id and s.key = r.session_keys[u.session] and s.day = (r.at at time zone 'UTC')::date
                        and (s.user_name is not null or s.backend_type <> 'client backend')
                        and x.server_id = r.server_id and x.key = r.wait_keys[u.wait]) a on true`

// TestStatsDBIsReplaced puts stats_db back to what it was a while ago, and then a
// new and empty one in its place, under a running collector: every sample that is
// stored afterwards has its names, and what was written since the dump is there
// again.
func TestStatsDBIsReplaced(t *testing.T) {
	t.Parallel()
	in, server := install(t), pgtest.Target(t)
	watched := target.Target{Name: "one", Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}}
	in.add(t, watched)
	at, err := url.Parse(in.dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := at.Path[1:]
	at.Path = "/postgres"
	admin := at.String()
	busy := func() {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
	}
	stored := func() (samples, without int) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), in.dsn)
		if err != nil {
			return 0, 0 // it is being replaced
		}
		defer func() { _ = conn.Close(t.Context()) }()
		if err := conn.QueryRow(t.Context(), nameless).Scan(&samples, &without); err != nil {
			t.Fatal(err)
		}
		return samples, without
	}
	more := func(n int, what string) {
		t.Helper()
		from, _ := stored()
		pgtest.WaitFor(t, func() bool { now, _ := stored(); return now >= from+n }, what)
	}
	alone := fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'", name)

	busy()
	p := in.start(t)
	more(10, "samples before the dump")
	pgtest.Exec(t, admin, "alter database "+name+" allow_connections false", alone)
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, admin, fmt.Sprintf("select count(*) from pg_stat_activity where datname = '%s'", name)) == 0
	}, "stats_db to be alone")
	pgtest.Exec(t, admin, "create database "+name+"_dump template "+name, "alter database "+name+" allow_connections true")
	busy() // its session is not in the dump
	more(20, "samples after the dump")
	ticks := "select (select coalesce(sum(ticks_ok), 0) from history.activity_recent) + (select coalesce(sum(ticks_ok), 0) from history.activity_minute)"
	before := pgtest.Value[int](t, in.dsn, ticks)
	pgtest.Exec(t, admin, "alter database "+name+" allow_connections false", alone)
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, admin, fmt.Sprintf("select count(*) from pg_stat_activity where datname = '%s'", name)) == 0
	}, "stats_db to be alone")
	pgtest.Exec(t, admin, "drop database "+name, "alter database "+name+"_dump rename to "+name, "alter database "+name+" allow_connections true")
	more(20, "samples after the restore")
	if now := pgtest.Value[int](t, in.dsn, ticks); now < before {
		t.Errorf("%d ticks are there, %d were before the restore", now, before)
	}
	if samples, without := stored(); without > 0 {
		t.Errorf("restored: %d of %d samples have no names; known are %s", without, samples, pgtest.Value[string](t, in.dsn,
			"select string_agg(format('%s %s %s', key, user_name, backend_type), ', ') from history.session"))
	}

	conn, err := pgx.Connect(t.Context(), in.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "drop schema history, pgam, report cascade; drop table public.pgam_schema_version"); err != nil {
		t.Fatal(err)
	}
	if err := schema.Up(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	in.add(t, watched)
	more(20, "samples in the new one")
	if samples, without := stored(); without > 0 {
		t.Errorf("made anew: %d of %d samples have no names", without, samples)
	}
	if n := pgtest.Value[int](t, in.dsn, "select count(*) from history.server_identity"); n == 0 {
		t.Error("the new one does not know the server's version")
	}
	p.stop(t)
}
