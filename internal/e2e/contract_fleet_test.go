package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/target"
)

// fleet: whatever hangs, the others' rows are right and in time.
func (s *site) fleet(t *testing.T) {
	hung := pgtest.Target(t)
	here := names{fmt.Sprint(hung.Port()): "port of the hung server"}
	maps.Copy(here, s.names)
	for _, row := range []map[string]any{
		with(s.row("t2 mute"), map[string]any{"port": s.mute.Port()}),
		with(s.row("t3 wrong password"), map[string]any{"password": wrongPassword}),
		with(s.row("t4 hung"), map[string]any{"port": hung.Port()}),
	} {
		s.operator.json(t, http.MethodPost, "/servers", row).want(t, http.StatusOK)
	}
	if row := s.operator.get(t, "/servers").rows(t)["t4 hung"]; row["status"] != "ok" {
		t.Errorf("a server before it hangs: %v", row)
	}
	hung.Pause(t) // With a connection of the pool open.
	defer hung.Resume(t)
	pgtest.WaitFor(t, func() bool {
		return s.operator.get(t, "/servers").rows(t)["t4 hung"]["status"] == "PostgreSQL: timeout"
	}, "the hung server to be shown as such")
	s.talk(t, "fleet", rowMasks(), func(talk *transcript) {
		talk.names = here
		pgtest.WaitFor(t, func() bool { // What was asked before is forgotten.
			got := talk.c.get(t, talk.prefix+"/servers")
			return got.Took > statusTTL
		}, "an answer that is not from the cache")
		talk.ask("one server is well, one is mute, one refuses, one hangs", http.MethodGet, "/servers")
		talk.compare("fleet")
	})
	s.undisturbed(t, "/server_stats/"+url.PathEscape("t4 hung"))
	hung.Resume(t)
	pgtest.WaitFor(t, func() bool {
		return s.operator.get(t, "/servers").rows(t)["t4 hung"]["status"] == "ok"
	}, "the server that hung to be well again")
	for _, name := range []string{"t2 mute", "t3 wrong password", "t4 hung"} {
		s.operator.send(t, http.MethodDelete, "/servers/"+url.PathEscape(name), "", "").want(t, http.StatusOK)
	}
}

// undisturbed asks for something that ends at its deadline, and meanwhile for
// others: some of those are asked after it and answered before it.
func (s *site) undisturbed(t *testing.T, slow string) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		done := make(chan answer, 1)
		request := s.operator.request(t, http.MethodGet, slow, "", "")
		go func() {
			got, err := s.operator.try(request)
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		overtaken := -1 // the last one may have ended after it
		for {
			s.viewer.get(t, "/server_stats/t1").want(t, http.StatusOK)
			overtaken++
			select {
			case got := <-done:
				if got.Status != http.StatusInternalServerError {
					t.Errorf("GET %s: %d: %s", slow, got.Status, got.Body)
				}
				return overtaken > 0
			default:
			}
		}
	}, "requests about another server that overtake the one that waits for its deadline")
}

// caches keep an answer as long as they may, and drop it at any change, in
// every process.
func (s *site) caches(t *testing.T) {
	second := newClient(t, s.second.url(), s.seen).as(s.operator.token)
	idle := func(c *client) any {
		connections, _ := c.get(t, "/servers").want(t, http.StatusOK).rows(t)["t1"]["connections"].(map[string]any)

		return connections["idle"]
	}
	before := idle(second)
	for range 7 {
		connect(t, s.watched.SuperuserDSN())
	}
	pgtest.WaitFor(t, func() bool { n, _ := idle(s.operator).(float64); return n >= 7 }, "a cache of a second to forget")
	if after := idle(second); after != before {
		t.Errorf("idle connections were %v and are %v: a cache of ten minutes forgets", before, after)
	}
	// Any change of a server, made through the other process.
	s.operator.json(t, http.MethodPut, "/servers/t1", with(s.row("t1"), map[string]any{"stats_db": "x"})).want(t, http.StatusOK)
	pgtest.WaitFor(t, func() bool { n, _ := idle(second).(float64); return n >= 7 }, "the other process to follow a change")
	if row := second.get(t, "/servers").rows(t)["t1"]; row["stats_db"] != "x" {
		t.Errorf("the other process shows %v", row)
	}
	s.operator.json(t, http.MethodPut, "/servers/t1", s.row("t1")).want(t, http.StatusOK)
	s.everywhere(t, second)
	s.singleFlight(t)
}

// everywhere: what one process has made, changed and removed is soon so in the
// other one.
func (s *site) everywhere(t *testing.T, second *client) {
	t.Helper()
	s.operator.json(t, http.MethodPost, "/servers", s.row("moving")).want(t, http.StatusOK)
	pgtest.WaitFor(t, func() bool { return second.get(t, "/server_stats/moving").Status == http.StatusOK }, "a new server to be everywhere")
	s.operator.json(t, http.MethodPut, "/servers/moving", with(s.row("moved"), map[string]any{"password": wrongPassword})).want(t, http.StatusOK)
	pgtest.WaitFor(t, func() bool { return second.get(t, "/server_stats/moving").Status == http.StatusNotFound }, "a new name to be everywhere")
	pgtest.WaitFor(t, func() bool { return second.get(t, "/server_stats/moved").Status == http.StatusInternalServerError }, "a wrong password to be everywhere")
	s.operator.json(t, http.MethodPut, "/servers/moved", s.row("moved")).want(t, http.StatusOK)
	pgtest.WaitFor(t, func() bool { return second.get(t, "/server_stats/moved").Status == http.StatusOK }, "a right password to be everywhere")
	s.operator.send(t, http.MethodDelete, "/servers/moved", "", "").want(t, http.StatusOK)
	pgtest.WaitFor(t, func() bool { return second.get(t, "/server_stats/moved").Status == http.StatusNotFound }, "a removal to be everywhere")
}

// singleFlight: many who ask at once make a server be asked once.
func (s *site) singleFlight(t *testing.T) {
	t.Helper()
	s.operator.json(t, http.MethodPost, "/servers", with(s.row("mute"), map[string]any{"port": s.mute.Port()})).want(t, http.StatusOK)
	before := s.mute.Connections.Load()
	var asking sync.WaitGroup
	for range 20 {
		request := s.operator.request(t, http.MethodGet, "/servers", "", "")
		asking.Go(func() {
			if got, err := s.operator.try(request); err != nil || got.Status != http.StatusOK {
				t.Errorf("one of many: %d, %v", got.Status, err)
			}
		})
	}
	asking.Wait()
	if n := s.mute.Connections.Load() - before; n > 5 {
		t.Errorf("twenty who asked at once made %d connections", n)
	}
	s.operator.send(t, http.MethodDelete, "/servers/mute", "", "").want(t, http.StatusOK)
}

// left: who goes away before he is answered is no fault of the server's.
func (s *site) left(t *testing.T) {
	mute := faultnet.Listen(t, nil)
	s.operator.json(t, http.MethodPost, "/servers", with(s.row("left"), map[string]any{"port": mute.Port()})).want(t, http.StatusOK)
	failure := regexp.MustCompile(`(?m)^.*level=(WARN|ERROR).*activity of left`)
	before, faults := mute.Connections.Load(), len(failure.FindAllString(s.api.logged(), -1))
	conn, err := net.Dial("tcp", s.api.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /server_stats/left HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", s.viewer.token); err != nil {
		t.Fatal(err)
	}
	pgtest.WaitFor(t, func() bool { return mute.Connections.Load() > before }, "the server to be asked")
	_ = conn.Close()
	pgtest.WaitFor(t, func() bool {
		return strings.Contains(s.api.logged(), "status=499") || len(failure.FindAllString(s.api.logged(), -1)) > faults
	}, "the end of a request that nobody waits for")
	if len(failure.FindAllString(s.api.logged(), -1)) > faults {
		t.Error("a client that left is logged as a failure of the server's")
	}
	if metrics := string((&client{url: s.api.url()}).get(t, "/metrics").Body); !strings.Contains(metrics, `status="499"`) {
		t.Error("a client that left is not counted as such")
	}
	s.operator.send(t, http.MethodDelete, "/servers/left", "", "").want(t, http.StatusOK)
}

// restart: dead connections of a pool are replaced, at no request's cost.
func (s *site) restart(t *testing.T) {
	warm := func() {
		t.Helper()
		var asking sync.WaitGroup
		for range 5 {
			request := s.viewer.request(t, http.MethodGet, "/server_stats/t1", "", "")
			asking.Go(func() {
				if got, err := s.viewer.try(request); err != nil || got.Status != http.StatusOK {
					t.Errorf("a request after a restart: %d %s, %v", got.Status, got.Body, err)
				}
			})
		}
		asking.Wait()
	}
	warm()
	s.watched.Restart(t)
	for range 4 {
		warm()
	}
	if status := s.operator.get(t, "/servers").rows(t)["t1"]["status"]; status != "ok" {
		t.Errorf("status after a restart: %v", status)
	}
	pgtest.Exec(t, s.watched.SuperuserDSN(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgam-%'")
	for range 4 {
		warm()
	}
	s.viewer.get(t, "/server/t1/db/postgres").want(t, http.StatusOK)
}

// keeping: history belongs to the server, whatever its name; it outlives the
// server unless it is purged.
func (s *site) keeping(t *testing.T) {
	id := s.id(t, "t1")
	stats := func(name string) map[string]any {
		t.Helper()

		return s.viewer.get(t, "/server/"+url.PathEscape(name)+"/stats").want(t, http.StatusOK).object(t)
	}
	before := stats("t1")
	if before["last_stat_update"] == nil || len(before["databases"].([]any)) == 0 || len(before["connection_timeline"].([]any)) == 0 {
		t.Fatalf("no history of t1: %v", before)
	}
	const renamed = "renamed: t1"
	s.operator.json(t, http.MethodPut, "/servers/t1", with(s.row(renamed), map[string]any{"password": ""})).want(t, http.StatusOK)
	after := stats(renamed)
	if s.id(t, renamed) != id || fmt.Sprint(after["databases"]) != fmt.Sprint(before["databases"]) ||
		after["last_stat_update"].(string) < before["last_stat_update"].(string) {
		t.Errorf("after a new name the history is another:\n%v\n%v", before, after)
	}
	s.viewer.get(t, "/server/t1/stats").want(t, http.StatusNotFound)

	s.operator.send(t, http.MethodDelete, "/servers/"+url.PathEscape(renamed), "", "").want(t, http.StatusOK)
	s.viewer.get(t, "/server/"+url.PathEscape(renamed)+"/stats").want(t, http.StatusNotFound)
	s.operator.json(t, http.MethodPost, "/servers", s.row(renamed)).want(t, http.StatusOK)
	if s.id(t, renamed) == id {
		t.Error("a new server took over the history of an old one")
	}
	if n := s.kept(t, id)["database_stat"]; n == 0 {
		t.Error("a server that was removed has lost its history")
	}
	s.operator.send(t, http.MethodDelete, "/servers/"+url.PathEscape(renamed), "", "").want(t, http.StatusOK)
	s.operator.json(t, http.MethodPost, "/servers", s.row("t1")).want(t, http.StatusOK)
}

// kept counts what is kept of a server, by the tables of the history.
func (s *site) kept(t *testing.T, id target.ID) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for table := range strings.FieldsSeq(pgtest.Value[string](t, s.dsn, `
select string_agg(c.relname, ' ')
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attname = 'server_id' and not a.attisdropped
 where c.relnamespace = 'history'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname !~ '_p[0-9]+$'
   and c.relname <> 'progress' -- stays with the server's row`)) {
		if n := pgtest.Value[int](t, s.dsn, "select count(*)::int from "+pgx.Identifier{"history", table}.Sanitize()+" where server_id = $1", id); n > 0 {
			counts[table] = n
		}
	}

	return counts
}

// purged: with ?purge=true nothing of the history is left, once the collector
// has looked after it, which it does when it starts, and every hour.
func (s *site) purged(t *testing.T) {
	for _, path := range []string{"/servers/", "/api/servers/"} {
		s.operator.json(t, http.MethodPost, "/servers", s.row("passing")).want(t, http.StatusOK)
		id, stays := s.id(t, "passing"), s.id(t, "t1")
		pgtest.WaitFor(t, func() bool { return s.kept(t, id)["database_stat"] > 0 && s.kept(t, id)["activity_recent"] > 0 }, "a history to purge")
		s.admin.send(t, http.MethodDelete, path+"passing?purge=true", "", "").want(t, http.StatusOK)
		s.viewer.get(t, "/server/passing/stats").want(t, http.StatusNotFound)
		s.collector.stop(t)
		s.collector = s.start(t, "pgam-collector", s.collectorSettings()...)
		var left map[string]int
		defer func() {
			if t.Failed() {
				t.Logf("left: %v", left)
			}
		}()
		pgtest.WaitFor(t, func() bool { left = s.kept(t, id); return len(left) == 0 }, "the history to go")
		if n := s.kept(t, stays)["database_stat"]; n == 0 {
			t.Errorf("another server has lost its history; of the purged one is left: %v", left)
		}
	}
	for _, query := range []string{"", "?purge=false"} {
		s.operator.json(t, http.MethodPost, "/servers", s.row("passing")).want(t, http.StatusOK)
		id := s.id(t, "passing")
		s.operator.send(t, http.MethodDelete, "/servers/passing"+query, "", "").want(t, http.StatusOK)
		if pgtest.Value[bool](t, s.dsn, "select purge from pgam.server where id = $1", id) {
			t.Errorf("a server is purged by %q", query)
		}
	}
	s.operator.json(t, http.MethodPost, "/servers", s.row("passing")).want(t, http.StatusOK)
	for _, path := range []string{"/servers/", "/api/servers/"} {
		s.operator.send(t, http.MethodDelete, path+"passing?purge=perhaps", "", "").want(t, http.StatusUnprocessableEntity)
	}
	s.operator.send(t, http.MethodDelete, "/servers/passing", "", "").want(t, http.StatusOK)
}
