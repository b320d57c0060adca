package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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

// noon is when the history of seedHistory's ticks begins.
var noon = time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC)

// seedHistory fills the history of a server around noon of 22 November 2024: ten
// minutes of ticks of a session on the CPU and, from the sixth to the fifteenth
// tick, one that waits for it; before and after that minutes with one session on
// the CPU and, from 12:30 on, a second one that waits for a lock; three databases.
func seedHistory(t *testing.T) *site {
	t.Helper()
	now := time.Date(2024, 11, 22, 13, 0, 0, 0, time.UTC)
	a := startAPI(t, func(c *api.Config) { c.Services.Now = func() time.Time { return now } })
	must[target.Target](t)(a.stored.CreateServer(t.Context(), target.Target{
		Name: "seeded", Endpoint: target.Endpoint{Host: "db.invalid", User: "mon"}, Enabled: true,
	}))
	if err := a.write.EnsurePartitions(t.Context(), now.AddDate(0, 0, -1), now); err != nil {
		t.Fatal(err)
	}
	id := pgtest.Value[int64](t, a.dsn, "update pgam.server set name = 'größe 2', created_at = '2024-11-22 11:00Z' returning id")
	pgtest.Exec(t, a.dsn, fmt.Sprintf(`
insert into history.activity_minute (server_id, minute, first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok,
       ticks_degraded, ticks_failed, ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms,
       samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
select %[1]d, m, 200, 59200, 1000, 1000, 60, 0, 0, 0, 0, 200, 59200, 1000, 60 + l, 60, l, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 + l / 60
  from generate_series(timestamptz '2024-11-22 11:00Z', '2024-11-22 12:50Z', interval '1 minute') m,
       lateral (select case when m >= '2024-11-22 12:30Z' then 60 else 0 end as l) x
 where m < '2024-11-22 12:00Z' or m >= '2024-11-22 12:10Z';
insert into history.activity_total (server_id, step_seconds, bucket, first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok,
       ticks_degraded, ticks_failed, ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms,
       samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
select %[1]d, s, date_bin(s * interval '1 second', minute, timestamptz 'epoch') b, min(o), max(o + 59000), 1000, 1000, sum(ticks_ok), 0, 0, 0,
       max(case when b >= '2024-11-22 12:00Z' or s = 86400 then 600 else 0 end), min(o), max(o + 59000), 1000, sum(samples), sum(cpu), sum(lock),
       0, 0, 0, 0, 0, 0, 0, 0, 0, max(max_sessions)
  from history.activity_minute, (values (3600), (86400)) v (s),
       lateral (select date_bin(s * interval '1 second', minute, timestamptz 'epoch') b) x,
       lateral (select (extract(epoch from minute - b) * 1000 + 200)::integer as o) y
 group by 1, 2, 3`, id))
	a.seedTicks(target.ID(id))
	a.seedDatabases(target.ID(id))
	if err := a.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.token = a.tokenOf("viewer")
	return a
}

// seedTicks stores ten minutes of ticks, which are not compacted yet.
func (a *site) seedTicks(id target.ID) {
	a.t.Helper()
	names, day := sample.NewDictionary(testHash), sample.Day(noon)
	names.Texts(target.TextsNormalized, false)
	session := func(pid int32, start, user, application, client string) sample.Key {
		return names.Session([]byte(user), day, func(e *sample.SessionEntry) {
			e.PID, e.BackendStart = pid, must[time.Time](a.t)(time.Parse(time.RFC3339, "2024-11-22T"+start+"Z")).UnixMicro()
			e.DatabaseOID, e.Database, e.UserOID, e.User = 100, "shop", 10, user
			e.Application, e.ClientAddr, e.BackendType = application, client, "client backend"
		})
	}
	one, other := session(4711, "11:59:00", "größe", "psql", "10.0.0.7"), session(4712, "11:58:00", "app", "", "")
	cpu, onCPU := names.Wait([]byte("active"), []byte("CPU"), nil, day)
	lock, waits := names.Wait([]byte("active"), []byte("Lock"), []byte("transactionid"), day)
	const queryID = -8123456789012345678
	query, _ := names.Query(queryID, false, day)
	names.QueryText(queryID, false, "update t set v = $1")
	began := noon.Add(-5 * time.Second).UnixMicro()
	visits := []*sample.Visit{{Server: id, Entries: names.Take()}}
	for i := range 600 {
		at := noon.Add(time.Duration(i)*time.Second + 200*time.Millisecond)
		tick := &sample.Tick{Planned: at, Started: at, Cadence: time.Second, Duration: 900 * time.Microsecond, Backends: 7}
		of := func(key, wait sample.Key, class sample.WaitClass) sample.Session {
			return sample.Session{Session: key, Wait: wait, Class: class, Query: query, QueryStart: began, XactStart: began - 1e6, StateChange: began}
		}
		tick.Sessions = []sample.Session{of(one, cpu, onCPU)}
		if i >= 5 && i < 15 {
			waiter := of(other, lock, waits)
			waiter.Blocked, waiter.Blocker = true, one
			tick.Sessions, tick.Edges = append(tick.Sessions, waiter), []sample.Edge{{Blocked: other, Blocker: one}}
		}
		visits = append(visits, &sample.Visit{Server: id, Tick: tick})
	}
	if err := a.write.Append(a.t.Context(), id, visits); err != nil {
		a.t.Fatal(err)
	}
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
	visits := []*sample.Visit{{Server: id, Sizes: []sample.DatabaseSize{
		{At: at("11:59:00"), OID: 100, Bytes: known(1 << 30)},
		{At: at("12:10:00"), OID: 100, Bytes: known(2 << 30)},
		{At: at("12:59:00"), OID: 101, Bytes: known(8 << 20)},
	}}}
	for _, look := range []struct {
		clock     string
		databases map[uint32][2]int64 // connections and commits by oid
	}{
		{"11:59:50", map[uint32][2]int64{100: {4, 990}, 102: {1, 45}}},
		{"12:00:00", map[uint32][2]int64{100: {4, 1000}, 102: {1, 50}}},
		{"12:58:50.5", map[uint32][2]int64{100: {4, 1000}}},
		{"12:59:00.5", map[uint32][2]int64{100: {6, 1020}}},
		{"12:59:50", map[uint32][2]int64{100: {6, 1020}, 101: {2, 7}}},
	} {
		v := &sample.Visit{Server: id, Look: &sample.Look{Planned: at(look.clock), At: at(look.clock), Databases: len(look.databases)}}
		for oid, said := range look.databases {
			d := sample.DatabaseStat{Planned: at(look.clock), At: at(look.clock), Instance: 1, OID: oid, Backends: known(said[0])}
			d.Counters[sample.XactCommit] = known(said[1])
			v.Databases = append(v.Databases, d)
		}
		visits = append(visits, v)
	}
	last := time.Time{}
	for _, list := range []struct {
		clock string
		oids  []uint32
	}{{"11:00:00", []uint32{100, 102}}, {"12:10:00", []uint32{100, 101, 102}}, {"12:19:00", []uint32{100, 101, 102}}, {"12:20:00", []uint32{100, 101}}, {"13:00:00", []uint32{100, 101}}} {
		found := &sample.Inventory{At: at(list.clock), Since: last}
		for _, oid := range list.oids {
			found.Databases = append(found.Databases, sample.Database{
				OID: oid, Name: map[uint32]string{100: "shop", 101: "a/b?", 102: "old"}[oid], AllowConnect: true, Encoding: "UTF8",
			})
		}
		v := &sample.Visit{Server: id, Inventory: found}
		switch list.clock {
		case "12:10:00":
			v.Events = []sample.Event{{At: found.At, Kind: sample.EventDatabaseCreated, Subject: "a/b?"}}
		case "12:20:00":
			v.Events = []sample.Event{{At: found.At, Kind: sample.EventDatabaseDropped, Subject: "old"}}
		}
		visits, last = append(visits, v), found.At
	}
	for clock, free := range map[string]int64{"12:00:00": 500, "12:20:00": 100, "12:40:00": 300} {
		visits = append(visits, &sample.Visit{Server: id, Disks: &sample.Disks{At: at(clock), Source: target.DiskSSH, CPUs: 8, FileSystems: []sample.FileSystem{
			{MountPoint: "/", Device: "/dev/sda1", Uses: []string{"data", "wal"}, Total: known(1000), Free: known(free), Inodes: known(100), InodesFree: known(free / 10)},
			{MountPoint: "/größe", Uses: []string{"tablespace:größe"}, Total: known(10)},
		}}})
	}
	if err := a.write.Append(a.t.Context(), id, visits); err != nil {
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
		{"history_activity_ticks", v1 + "/activity?from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:20Z&step=5s"},
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
