package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// past is the history of a server, as it was in the spring of 2026.
func (s *site) past(t *testing.T) {
	s.operator.json(t, http.MethodPost, "/api/v1/servers", map[string]any{
		"name": "past", "host": "db.invalid", "user": "pgam", "enabled": false,
	}).want(t, http.StatusCreated)
	s.fill(t, s.id(t, "past"))
	s.talk(t, "past", nil, func(talk *transcript) {
		talk.c = s.viewer
		ask := func(name, path, query string) { talk.ask(name, http.MethodGet, path+query) }
		const server, shop = "/server/past/stats", "/server/past/db/shop/stats"
		ask("an hour of a server, every sample", server, "?start_date=2026-06-08T08:00:00Z&end_date=2026-06-08T09:00:00Z")
		ask("a week of a server, by hour", server, "?start_date=2026-06-02&end_date=2026-06-09")
		ask("seventy days of a server, by four hours", server, "?start_date=2026-04-01T00:00:00.000Z&end_date=2026-06-09T00:00:00.000Z")
		ask("a hundred days of a server, by day", server, "?start_date=2026-03-01&end_date=2026-06-10")
		ask("the last seven days, in which nothing was", server, "")
		ask("empty dates are none", server, "?start_date=&end_date=")
		ask("an end before the start", server, "?start_date=2026-06-09&end_date=2026-06-08")
		ask("an hour of a database, every sample", shop, "?start_date=2026-06-08T08:00:00Z&end_date=2026-06-08T09:00:00Z")
		ask("with the time of another zone, and a plus that came as a space", shop, "?start_date=2026-06-08T11:00:00%2B03:00&end_date=2026-06-08T12:00:00+03:00")
		ask("a week of a database, by hour", shop, "?start_date=2026-06-02&end_date=2026-06-09")
		ask("a hundred days of a database, by day", shop, "?start_date=2026-03-01&end_date=2026-06-10")
		ask("a database that is gone", "/server/past/db/gone/stats", "?start_date=2026-03-01&end_date=2026-06-10")
		ask("a database that never was", "/server/past/db/nothing/stats", "?start_date=2026-06-08&end_date=2026-06-09")
		ask("a database as last seen", "/server/past/db/shop", "")
		for _, path := range []string{server, shop} {
			ask("no date", path, "?start_date=garbage-canary")
			ask("no day of any month", path, "?end_date=2026-02-31")
			ask("neither", path, "?start_date=x&end_date=y")
		}
		ask("no date, of nobody", "/server/nobody/stats", "?start_date=garbage-canary")
		ask("the past of nobody", "/server/nobody/stats", "")
		ask("a database of nobody", "/server/nobody/db/shop/stats", "")
		talk.compare("past")
	})
	t.Run("unchanged", s.unchanged)
	s.operator.send(t, http.MethodDelete, "/servers/past", "", "").want(t, http.StatusOK)
}

// fill writes four mornings, from eight to ten, a sample each quarter of an
// hour: four connections to the database shop, which makes ten commits between
// two samples, and one to gone, which makes none, and is dropped after the
// second morning. Between the second and the third the server is restarted; what
// was added in the sixty days between the first and the second nobody can tell. The
// database shop begins with a gibibyte and grows by a mebibyte a day.
func (s *site) fill(t *testing.T, id target.ID) {
	t.Helper()
	first := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	const shop, gone = 100, 101
	instance := int64(1)
	commits := int64(1000)
	var lookedAt time.Time
	for morning, day := range []int{0, 60, 98, 99} {
		begin := first.AddDate(0, 0, day)
		inventory := &sample.Inventory{At: begin, Since: lookedAt, Databases: []sample.Database{{OID: shop, Name: "shop", AllowConnect: true, Encoding: "UTF8"}}}
		oids := []uint32{shop}
		if morning < 2 {
			inventory.Databases = append(inventory.Databases, sample.Database{OID: gone, Name: "gone", AllowConnect: true, Encoding: "UTF8"})
			oids = append(oids, gone)
		}
		if morning == 2 {
			commits, instance = 0, 2
		}
		lookedAt = begin
		visits := []*sample.Visit{{Server: id, Inventory: inventory, Sizes: []sample.DatabaseSize{
			{At: begin, OID: shop, Bytes: sample.Int{V: 1<<30 + int64(day)<<20, Known: true}, Duration: time.Millisecond},
		}}}
		for at := begin; at.Before(begin.Add(2 * time.Hour)); at = at.Add(15 * time.Minute) {
			visit := &sample.Visit{Server: id, Look: &sample.Look{Planned: at, At: at, Databases: len(oids)}}
			for _, oid := range oids {
				stat := sample.DatabaseStat{Planned: at, At: at, Instance: instance, OID: oid, Backends: sample.Int{V: 1, Known: true}}
				stat.Counters[sample.XactCommit] = sample.Int{Known: true}
				if oid == shop {
					commits += 10
					stat.Backends.V, stat.Counters[sample.XactCommit].V = 4, commits
				}
				visit.Databases = append(visit.Databases, stat)
			}
			visits = append(visits, visit)
		}
		if err := s.history.Append(t.Context(), id, visits); err != nil {
			t.Fatal(err)
		}
	}
	if n := pgtest.Value[int](t, s.dsn, "select count(*)::int from history.database_stat where server_id = $1", id); n != 48 {
		t.Fatalf("%d samples were written, want 48", n)
	}
}
