package api_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Which databases nobody uses, of one server and of all, by criteria of one's own,
// in pages, and as CSV.
func TestDatabaseUse(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	now := time.Now().UTC().Truncate(time.Hour)
	from := now.Add(-48 * time.Hour)
	add := func(name string) target.ID {
		id := must[target.Target](t)(a.stored.CreateServer(t.Context(), target.Target{
			Name: name, Enabled: true, Endpoint: target.Endpoint{Host: "127.0.0.1", Port: 1, User: "u"},
		})).ID
		pgtest.Exec(t, a.dsn, "update pgam.server set created_at = '"+from.Format(time.RFC3339)+"', revision = nextval('pgam.revision') where name = '"+name+"'")
		return id
	}
	one, two := add("one"), add("two")
	must[struct{}](t)(struct{}{}, a.live.Refresh(t.Context()))
	hostile := "=cmd|'/c calc'!A0, \"<b>\""
	series := map[target.ID]*sample.Series{one: new(sample.Resume).Series(), two: new(sample.Resume).Series()}
	for id, s := range series {
		visits := []*sample.Visit{{Server: id, Inventory: &sample.Inventory{At: from, Databases: []sample.Database{
			{OID: 100, Name: "shop", AllowConnect: true}, {OID: 101, Name: hostile, AllowConnect: true}, {OID: 1, Name: "template1", IsTemplate: true},
		}}}}
		for n := range int64(48 * 12) {
			at := from.Add(time.Duration(n) * 5 * time.Minute)
			v := &sample.Visit{Server: id}
			for oid, backends := range map[uint32]int64{100: 3, 101: 0} {
				d := sample.DatabaseStat{OID: oid, At: at, Backends: sample.Int{V: backends, Known: true}}
				for _, c := range []sample.Counter{sample.XactCommit, sample.XactRollback, sample.TupInserted, sample.TupUpdated, sample.TupDeleted, sample.Sessions} {
					d.Counters[c] = sample.Int{V: n * backends * 100, Known: true}
				}
				v.Databases = append(v.Databases, d)
			}
			s.Advance(v)
			visits = append(visits, v)
		}
		visits = append(visits, &sample.Visit{Server: id, Sizes: []sample.DatabaseSize{
			{At: from.Add(time.Hour), OID: 101, Bytes: sample.Int{V: 5 << 20, Known: true}}, {At: from.Add(time.Hour), OID: 100, Bytes: sample.Int{V: 9 << 20, Known: true}},
		}})
		if err := a.write.Append(t.Context(), id, visits); err != nil {
			t.Fatal(err)
		}
		if err := a.write.CompactDatabases(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	span := "from=" + from.Format(time.RFC3339) + "&to=" + now.Format(time.RFC3339)
	rowsOf := func(r answer) (names []string) {
		for _, d := range a.row(r)["databases"].([]any) {
			names = append(names, d.(map[string]any)["database"].(string))
		}
		return names
	}
	const path = "/api/v1/servers/one/databases?"
	r := a.want(200, a.get(path+span+"&unused_days=1"))
	body := a.row(r)
	if names := rowsOf(r); !slices.Equal(names, []string{"shop", hostile}) || body["databases_total"] != 2.0 || body["reclaimable_bytes"] != float64(5<<20) {
		t.Errorf("by size: %s", r.Body)
	}
	unused := body["by_class"].(map[string]any)["unused"].(map[string]any)
	if unused["databases"] != 1.0 || unused["size_bytes"] != float64(5<<20) || len(body["by_class"].(map[string]any)) != 6 {
		t.Errorf("by class: %v", body["by_class"])
	}
	for query, want := range map[string][]string{
		"sort=name": {hostile, "shop"}, "sort=name&order=desc": {"shop", hostile}, "class=unused": {hostile}, "class=dropped": nil, "sort=size&order=asc": {hostile, "shop"},
		"sort=class": {hostile, "shop"}, "sort=commits": {"shop", hostile}, "sort=last_connection": {"shop", hostile}, "sort=written&limit=1": {"shop"},
	} {
		if names := rowsOf(a.want(200, a.get(path+span+"&unused_days=1&"+query))); !slices.Equal(names, want) {
			t.Errorf("%s: %v, want %v", query, names, want)
		}
	}
	if n := a.row(a.get(path + span + "&unused_days=30"))["by_class"].(map[string]any)["unknown"].(map[string]any)["databases"]; n != 1.0 {
		t.Errorf("nobody was seen for two days, and %v databases are unknown for thirty", n)
	}
	var all []string
	next := "/api/v1/fleet/databases?limit=3&sort=name&" + span
	for range 2 {
		body := a.row(a.want(200, a.get(next)))
		for _, d := range body["databases"].([]any) {
			all = append(all, d.(map[string]any)["server"].(string)+"."+d.(map[string]any)["database"].(string))
		}
		cursor, more := body["next_cursor"].(string)
		if more != (len(all) == 3) {
			t.Fatalf("next %v after %v", body["next_cursor"], all)
		}
		next = "/api/v1/fleet/databases?limit=3&sort=name&cursor=" + url.QueryEscape(cursor)
	}
	if !slices.Equal(all, []string{"one." + hostile, "one.shop", "two." + hostile, "two.shop"}) {
		t.Errorf("the fleet has %v", all)
	}
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+path+span+"&sort=name&unused_days=1", http.NoBody))
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Accept", "text/csv")
	for _, r := range []answer{a.do(req), a.get(path + span + "&sort=name&unused_days=1&format=csv")} {
		lines := must[[][]string](t)(csv.NewReader(strings.NewReader(string(a.want(200, r).Body))).ReadAll())
		if len(lines) != 3 || lines[0][1] != "database" || lines[1][1] != "'"+hostile || lines[2][2] != "healthy" || lines[1][6] != "" ||
			r.Header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(r.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%v\n%q", r.Header, lines)
		}
	}
	a.want(404, a.get("/api/v1/servers/nobody/databases"))
	a.want(400, a.get(path+"from=x"))
	a.want(422, a.get(path+"sort=x"))
	a.want(422, a.get(path+"cursor=x"))
}
