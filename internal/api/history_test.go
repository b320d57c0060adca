package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// golden compares the body of an answer with a file.
func golden(t *testing.T, name string, r answer) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, r.Body, "", "  "); err != nil {
		t.Fatalf("body %s: %v", r.Body, err)
	}
	path := filepath.Join("testdata", name+".golden.json")
	if updating() {
		if err := os.WriteFile(path, append(bytes.TrimSpace(got.Bytes()), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := must[[]byte](t)(os.ReadFile(path))
	if !bytes.Equal(bytes.TrimSpace(got.Bytes()), bytes.TrimSpace(want)) {
		t.Errorf("the answer differs from %s: look at it, then run go test ./internal/api -update\n%s", path, &got)
	}
}

// seedHistory fills the history of a server from noon of 22 November 2024: a
// window with fifteen ticks of a session on the CPU and, from the sixth on,
// one that waits for it; minutes with one session on the CPU and, from 12:30
// on, a second one that waits for a lock; three databases.
func seedHistory(t *testing.T) *site {
	t.Helper()
	now := time.Date(2024, 11, 22, 13, 0, 0, 0, time.UTC)
	a := startAPI(t, func(c *api.Config) { c.Services.Now = func() time.Time { return now } })
	must[target.Target](t)(a.stored.CreateServer(t.Context(), target.Target{
		Name: "seeded", Endpoint: target.Endpoint{Host: "db.invalid", User: "mon"}, Enabled: true,
	}))
	if err := a.past.EnsurePartitions(t.Context(), now.AddDate(0, 0, -1), now); err != nil {
		t.Fatal(err)
	}
	id := pgtest.Value[int64](t, a.dsn, "update pgam.server set name = 'größe 2', created_at = '2024-11-22 11:00Z' returning id")
	pgtest.Exec(t, a.dsn, fmt.Sprintf(`
insert into history.wait (server_id, id, state, wait_event_type, wait_event) values
  (%[1]d, 1, 'active', 'CPU', ''), (%[1]d, 2, 'active', 'Lock', 'transactionid');
insert into history.session (server_id, day, id, pid, backend_start, database_oid, database_name, user_oid, user_name, application_name, client_addr, backend_type) values
  (%[1]d, '2024-11-22', 1, 4711, '2024-11-22 11:59Z', 100, 'shop', 10, 'größe', 'psql', '10.0.0.7', 'client backend'),
  (%[1]d, '2024-11-22', 2, 4712, '2024-11-22 11:58Z', 100, 'shop', 10, 'app', '', null, 'client backend');
insert into history.query (server_id, id, query_id, own, text, first_seen_on, last_seen_on) values
  (%[1]d, 1, -8123456789012345678, false, 'update t set v = $1', '2024-11-22', '2024-11-22');
insert into history.activity_window (server_id, t0, span_ms, cadence_ms, samples, tick_offset_ms, tick_duration_us, tick_backends,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms, sample_blocker)
select %[1]d, '2024-11-22 12:00Z', 15000, 1000, 25, array(select i * 1000 + 200 from generate_series(0, 14) i),
       array_fill(900, array[15]), array_fill(7, array[15]), n.tick, n.session, n.session::smallint[], array_fill(1, array[25]),
       array_fill(-5000, array[25]), array_fill(1000, array[25]), array_fill(null::int, array[15]) || array_fill(1, array[10])
  from (select array_agg(tick order by session, tick)::smallint[] as tick, array_agg(session order by session, tick) as session
          from (select i as tick, 1 as session from generate_series(1, 15) i union all select i, 2 from generate_series(6, 15) i) x) n;
insert into history.activity_minute (server_id, minute, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped,
       samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
select %[1]d, timestamptz '2024-11-22 11:00Z' + i * interval '1 minute', 1000, 60, 60, 0, 0, 0,
       60 + l, 60, l, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 + l / 60
  from generate_series(0, 109) i, lateral (select case when i >= 90 then 60 else 0 end as l) x;
insert into history.database (server_id, oid, name, is_template, allow_connect, encoding, created_at, first_seen_at, last_seen_at, dropped_at) values
  (%[1]d, 100, 'shop', false, true, 'UTF8', null, '2024-11-22 11:00Z', '2024-11-22 13:00Z', null),
  (%[1]d, 101, 'a/b?', false, true, 'UTF8', '2024-11-22 12:10Z', '2024-11-22 12:10Z', '2024-11-22 13:00Z', null),
  (%[1]d, 102, 'old', false, true, 'UTF8', null, '2024-11-22 11:00Z', '2024-11-22 12:19Z', '2024-11-22 12:20Z')`, id))
	a.seedDatabases(target.ID(id))
	if err := a.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.token = a.tokenOf("viewer")
	return a
}

// seedDatabases stores what was seen of databases and disks, as the collector
// does: with their rollups.
func (a *site) seedDatabases(id target.ID) {
	a.t.Helper()
	at := func(clock string) time.Time {
		a.t.Helper()
		return must[time.Time](a.t)(time.Parse(time.RFC3339Nano, "2024-11-22T"+clock+"Z"))
	}
	known := func(n int64) sample.Int { return sample.Int{V: n, Known: true} }
	stat := func(clock string, oid uint32, before, backends, commits, total int64) sample.DatabaseStat {
		d := sample.DatabaseStat{At: at(clock), OID: oid, Backends: known(backends), Epoch: at(clock)}
		d.Counters[sample.XactCommit] = known(total)
		if commits > 0 { // it goes on from a sample ten seconds before
			d.Epoch, d.Interval, d.Held, d.BackendSeconds = at("11:00:00"), 10*time.Second, 10*time.Second, 10*float64(before)
			d.CounterDeltas[sample.XactCommit] = known(commits)
		}
		return d
	}
	visits := []*sample.Visit{{Server: id, Databases: []sample.DatabaseStat{
		stat("12:00:00", 100, 4, 4, 10, 1000), stat("12:00:00", 102, 1, 1, 5, 50),
		stat("12:59:00.5", 100, 4, 6, 20, 1020), stat("12:59:50", 101, 0, 2, 0, 7),
	}, Sizes: []sample.DatabaseSize{
		{At: at("11:59:00"), OID: 100, Bytes: known(1 << 30)},
		{At: at("12:10:00"), OID: 100, Bytes: known(2 << 30)},
		{At: at("12:59:00"), OID: 101, Bytes: known(8 << 20)},
	}}}
	for clock, free := range map[string]int64{"12:00:00": 500, "12:20:00": 100, "12:40:00": 300} {
		visits = append(visits, &sample.Visit{Server: id, Disks: &sample.Disks{At: at(clock), Source: target.DiskSSH, FileSystems: []sample.FileSystem{
			{MountPoint: "/", Device: "/dev/sda1", Uses: []string{"data", "wal"}, Total: known(1000), Free: known(free), Inodes: known(100), InodesFree: known(free / 10)},
			{MountPoint: "/größe", Uses: []string{"tablespace:größe"}, Total: known(10)},
		}}})
	}
	slices.SortFunc(visits[1:], func(a, b *sample.Visit) int { return a.Disks.At.Compare(b.Disks.At) })
	if err := a.past.Append(a.t.Context(), sample.Batch{Visits: visits}); err != nil {
		a.t.Fatal(err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	const py, v1 = "/server/gr%C3%B6%C3%9Fe%202", "/api/v1/servers/gr%C3%B6%C3%9Fe%202/history"
	for _, tt := range []struct{ name, path string }{
		{"server_stats_raw", py + "/stats?start_date=2024-11-22T12:00:00Z&end_date=2024-11-22T13:00:00Z"},
		{"server_stats_default", "/api" + py + "/stats?start_date=&end_date="},
		{"server_stats_nothing", py + "/stats?start_date=2024-11-22&end_date=2024-11-21"},
		{"database_now", py + "/db/shop"},
		{"database_now_slash", py + "/db/a%2Fb%3F"},
		{"database_stats", "/api" + py + "/db/shop/stats?start_date=2024-11-22T12:00:00.000Z"},
		{"database_stats_unknown", py + "/db/nosuchdb/stats"},
		{"history_activity_minute", v1 + "/activity?from=2024-11-22T11:30:00Z&to=2024-11-22T13:00:00Z&step=15m"},
		{"history_activity_window", v1 + "/activity?from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:20Z&step=5s"},
		{"history_disks", v1 + "/disks?from=2024-11-22T12:00:00Z&to=2024-11-22T12:40:00Z"},
		{"history_disks_hour", v1 + "/disks?from=2024-11-20T00:00:00Z&to=2024-11-23T00:00:00Z"},
		{"history_at", v1 + "/at?at=2024-11-22T12:00:09Z"},
		{"history_at_none", v1 + "/at?at=2024-11-22T11:50:00%2B00:00"},
	} {
		golden(t, tt.name, a.want(200, a.get(tt.path)))
	}
}

func TestHistoryRefused(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	const py, v1 = "/server/gr%C3%B6%C3%9Fe%202", "/api/v1/servers/gr%C3%B6%C3%9Fe%202/history"
	for path, detail := range map[string]string{
		py + "/stats?start_date=garbage-canary":                                    "start_date is not a date",
		py + "/stats?end_date=2024-13-01":                                          "end_date is not a date",
		py + "/db/shop/stats?start_date=0001-01-01&end_date=x":                     "start_date is not a date: write 2026-11-22 or 2026-11-22T10:00:00Z; end_date",
		"/server/unknown/stats?start_date=garbage-canary":                          "start_date is not a date",
		v1 + "/activity?from=garbage-canary":                                       "from is not an instant",
		v1 + "/activity?step=0s":                                                   "step is not a duration",
		v1 + "/activity?step=garbage-canary":                                       "step is not a duration",
		v1 + "/activity?step=1500ms":                                               "whole number of seconds",
		v1 + "/activity?from=2024-11-22T13:00:00Z&to=2024-11-22T12:00:00Z":         "from must be before to",
		v1 + "/activity?from=2024-11-01T00:00:00Z&step=1s":                         "at most 6h0m0s",
		v1 + "/activity?from=1970-01-01T00:00:00Z&to=2199-01-01T00:00:00Z&step=1m": "ask for a shorter range",
		v1 + "/disks?from=garbage-canary":                                          "from is not an instant",
		v1 + "/at?at=garbage-canary":                                               "at is not an instant",
	} {
		r := a.want(400, a.get(path))
		if !strings.Contains(r.detail(t), detail) || strings.Contains(string(r.Body), "canary") {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	a.want(422, a.get(v1+"/activity?unknown=1"))
	for path, detail := range map[string]string{
		"/server/unknown/stats":      "Server not found",
		"/server/unknown/db/x":       "Server not found",
		"/server/unknown/db/x/stats": "Server not found",
	} {
		if r := a.want(404, a.get(path)); r.detail(t) != detail {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	// A date may lose its plus on the way.
	a.want(200, a.get(py+"/stats?start_date=2024-11-22T12:00:00+03:00&end_date=2024-11-22%2016:00"))
	a.want(200, a.get(v1+"/activity?from=2024-11-22T12:00:00+03:00&to=2024-11-22T14:00:00+03:00"))
}

// A database that history does not know yet is asked for; one that nobody
// knows is not there.
func TestDatabaseWithoutHistory(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, `create database "new ""one""/é"`)
	a := startAPI(t)
	a.watched("db1", server)
	got := a.row(a.want(200, a.get("/server/db1/db/new%20%22one%22%2F%C3%A9")))
	if size, ok := got["size_mb"].(float64); !ok || size < 1 || got["connections"] != 0.0 || got["commits"] != 0.0 || got["last_update"] != nil {
		t.Errorf("got %v", got)
	}
	if r := a.want(404, a.get("/server/db1/db/nosuchdb")); r.detail(t) != "Database not found" {
		t.Errorf("unknown: %s", r.Body)
	}
	server.Stop(t)
	a.want(500, a.get("/server/db1/db/nosuchdb"))
}
