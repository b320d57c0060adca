package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
)

// rowMasks hide what differs from run to run in rows of servers, alone and in
// a list.
func rowMasks() masks {
	m := masks{}
	for _, at := range []string{"", "[]."} {
		maps.Copy(m, masks{
			at + "version": aText, at + "data_dir": aText, at + "uptime_hours": aNumber, at + "connections": integers,
			at + "free_space": anInteger, at + "total_space": anInteger,
		})
	}

	return m
}

// with is a row with other fields.
func with(row map[string]any, fields map[string]any) map[string]any {
	row = maps.Clone(row)
	maps.Copy(row, fields)

	return row
}

// without is a row that lacks a field.
func without(row map[string]any, field string) map[string]any {
	row = maps.Clone(row)
	delete(row, field)

	return row
}

// servers are added, changed, renamed and removed.
func (s *site) servers(t *testing.T) {
	s.talk(t, "servers", rowMasks(), func(talk *transcript) {
		talk.ask("no servers", http.MethodGet, "/servers")
		first := s.row("größe 1")
		one := "/servers/" + url.PathEscape("größe 1")
		first["port"] = strconv.Itoa(s.watched.Port())
		talk.say("a server; the port may be a text, fields that nobody knows are ignored", http.MethodPost, "/servers",
			with(first, map[string]any{"nonsense": map[string]any{"a": 1}})).want(t, http.StatusOK)
		talk.say("its name is taken", http.MethodPost, "/servers", first)
		talk.ask("one server", http.MethodGet, "/servers")
		talk.ask("one server, from the cache: no other fields", http.MethodGet, "/servers")
		received := talk.c.get(t, talk.prefix+"/servers").rows(t)["größe 1"]
		s.change(t, talk, one, first, received)
		s.refuse(talk, one, first)
		huge := with(first, map[string]any{"name": strings.Repeat("x", 1_200_000)}) // nobody wants to read that in a transcript
		talk.c.json(t, http.MethodPost, talk.prefix+"/servers", huge).want(t, http.StatusRequestEntityTooLarge)
		talk.c.json(t, http.MethodPut, talk.prefix+one, huge).want(t, http.StatusRequestEntityTooLarge)
		talk.say("another server", http.MethodPost, "/servers", with(first, map[string]any{"name": "plain"})).want(t, http.StatusOK)
		talk.say("renamed to a name that is taken", http.MethodPut, one, with(first, map[string]any{"name": "plain"}))
		talk.say("renamed", http.MethodPut, one, with(first, map[string]any{"name": "a+b %41", "password": ""}))
		talk.say("nobody has the old name", http.MethodPut, one, first)
		talk.ask("nor can it be removed", http.MethodDelete, one)
		talk.ask("both, by name", http.MethodGet, "/servers")
		talk.ask("removed", http.MethodDelete, "/servers/a+b%20%2541")
		talk.ask("the other too", http.MethodDelete, "/servers/plain")
		talk.ask("removed again", http.MethodDelete, "/servers/plain")
		talk.ask("no servers left", http.MethodGet, "/servers")
		talk.compare("servers")
	})
}

// change is what PUT does to a server that is there.
func (s *site) change(t *testing.T, talk *transcript, one string, first, received map[string]any) {
	t.Helper()
	// Numbers of a row as received differ from run to run, so it is not noted.
	got := talk.c.json(t, http.MethodPut, talk.prefix+one, received).want(t, http.StatusOK).object(t)
	if got["status"] != "ok" || got["has_password"] != true {
		t.Errorf("after a PUT of the whole row as received: %v", got)
	}
	talk.say("an empty password keeps the stored one", http.MethodPut, one, with(first, map[string]any{"password": "", "stats_db": "stats_db"}))
	talk.say("so does none at all", http.MethodPut, one, without(with(first, map[string]any{"stats_db": nil}), "password"))
	talk.say("a wrong password counts at once", http.MethodPut, one, with(first, map[string]any{"password": wrongPassword}))
	talk.say("and so does the right one", http.MethodPut, one, first)
	talk.say("another host needs the password again, or it would be sent there", http.MethodPut, one,
		with(first, map[string]any{"host": "127.0.0.2", "password": ""}))
	talk.say("localhost is a host like any other", http.MethodPut, one, with(first, map[string]any{"host": "localhost"}))
	talk.say("a server that is away is kept, and says so", http.MethodPut, one, with(first, map[string]any{"host": "127.0.0.1", "port": 1}))
	talk.say("a host that nobody knows", http.MethodPut, one, with(first, map[string]any{"host": "db.invalid"}))
	talk.say("an IPv6 address", http.MethodPut, one, with(first, map[string]any{"host": "::1", "port": 1}))
	talk.say("the folder of a Unix socket", http.MethodPut, one, with(first, map[string]any{"host": "/nonexistent"}))
	talk.say("back", http.MethodPut, one, first)
}

// refuse is what is no server.
func (s *site) refuse(talk *transcript, one string, first map[string]any) {
	bad := with(first, map[string]any{"password": "canary-in-a-body"})
	talk.send("no JSON", http.MethodPost, "/servers", "application/json", `{"password":"canary-in-a-body"`)
	talk.send("nothing", http.MethodPost, "/servers", "application/json", "")
	talk.send("an array", http.MethodPost, "/servers", "application/json", `["canary-in-a-body"]`)
	talk.send("a form", http.MethodPost, "/servers", formType, "name=a")
	talk.say("without a host", http.MethodPost, "/servers", without(bad, "host"))
	talk.say("a port that is no number", http.MethodPost, "/servers", with(bad, map[string]any{"port": "canary-in-a-body"}))
	talk.say("a number for a name", http.MethodPut, one, with(bad, map[string]any{"name": 5}))
	talk.say("a port out of range", http.MethodPost, "/servers", with(bad, map[string]any{"name": "new", "port": -5}))
	talk.say("a name with a slash", http.MethodPost, "/servers", with(bad, map[string]any{"name": "a/b"}))
	talk.say("no name", http.MethodPut, one, with(bad, map[string]any{"name": ""}))
	talk.say("no name and no host", http.MethodPost, "/servers", with(bad, map[string]any{"name": "", "host": ""}))
	talk.say("two hosts", http.MethodPost, "/servers", with(bad, map[string]any{"name": "new", "host": "a,b"}))
}

// now is what a server is doing.
func (s *site) now(t *testing.T) {
	odd := `a/b? 100%`
	s.watched.Exec(t, "create database "+pgx.Identifier{odd}.Sanitize())
	s.operator.json(t, http.MethodPost, "/servers", s.row("t1")).want(t, http.StatusOK)
	s.operator.json(t, http.MethodPost, "/servers", with(s.row("away"), map[string]any{"port": 1})).want(t, http.StatusOK)
	s.scene(t)
	pgtest.WaitFor(t, func() bool {
		return s.operator.get(t, "/server/t1/db/"+url.PathEscape(odd)).object(t)["last_update"] != nil
	}, "the collector to sample the new server")
	s.talk(t, "now", masks{
		"queries[].pid": anInteger, "size_mb": aNumber, "connections": anInteger, "commits": anInteger, "last_update": anInstant,
	}, func(talk *transcript) {
		talk.c = s.viewer
		talk.ask("sessions", http.MethodGet, "/server_stats/t1")
		talk.ask("sessions of nobody", http.MethodGet, "/server_stats/nobody")
		talk.ask("sessions of a server that is away", http.MethodGet, "/server_stats/away")
		talk.ask("a database", http.MethodGet, "/server/t1/db/"+url.PathEscape(odd))
		talk.ask("a database that there is not", http.MethodGet, "/server/t1/db/nothing")
		talk.ask("a database of nobody", http.MethodGet, "/server/nobody/db/postgres")
		talk.compare("now")
	})
	s.pools(t)
	s.operator.send(t, http.MethodDelete, "/servers/away", "", "").want(t, http.StatusOK)
}

// scene is two sessions that anybody may see, until the test ends.
func (s *site) scene(t *testing.T) {
	t.Helper()
	for _, sql := range []string{"begin; select 'idle in its transaction'", "select pg_sleep(3600) /* an active one */"} {
		conn := connect(t, s.watched.SuperuserDSN())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol) // The test's end ends it.
		}()
		t.Cleanup(func() { <-done })
		pgtest.WaitFor(t, func() bool {
			return pgtest.Value[bool](t, s.watched.SuperuserDSN(),
				"select exists (select from pg_stat_activity where query = $1 and pid <> pg_backend_pid())", sql)
		}, "a session of the scene")
	}
}

// pools have the sizes of their profiles.
func (s *site) pools(t *testing.T) {
	t.Helper()
	s.operator.json(t, http.MethodPost, "/servers", with(s.row("statistics"), map[string]any{"stats_db": "stats_db"})).want(t, http.StatusOK)
	s.operator.json(t, http.MethodPost, "/servers", s.row("busy")).want(t, http.StatusOK)
	s.operator.json(t, http.MethodPatch, "/api/v1/servers/statistics", map[string]any{"database": "template1", "password": pgtest.Password}).want(t, http.StatusOK)
	s.operator.json(t, http.MethodPatch, "/api/v1/servers/busy", map[string]any{"database": "a/b? 100%", "pool_profile": "high_load", "password": pgtest.Password}).want(t, http.StatusOK)
	s.operator.get(t, "/servers").want(t, http.StatusOK)
	talk := &transcript{t: t, c: s.viewer, prefix: "", masks: masks{
		"*.total": anInteger, "*.acquired": anInteger, "*.idle": anInteger, "*.waits": anInteger, "*.wait_seconds": aNumber,
	}, names: s.names}
	talk.ask("pools", http.MethodGet, "/api/pools/status")
	talk.compare("pools")
	// The count of connections that PostgreSQL itself sees.
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, s.watched.SuperuserDSN(),
			"select count(*)::int from pg_stat_activity where application_name = 'pgam-api' and datname = 'a/b? 100%'") >= 5
	}, "the pool of a busy server to hold its five connections")
	for _, name := range []string{"statistics", "busy"} {
		s.operator.send(t, http.MethodDelete, "/servers/"+name, "", "").want(t, http.StatusOK)
	}
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, s.watched.SuperuserDSN(),
			"select count(*)::int from pg_stat_activity where application_name = 'pgam-api' and datname = 'a/b? 100%'") == 0
	}, "the pool of a server that was removed to close")
	if text := string(s.operator.get(t, "/api/pools/status").Body); strings.Contains(text, "template1") {
		t.Errorf("the pool of a server that was removed is shown: %s", text)
	}
}
