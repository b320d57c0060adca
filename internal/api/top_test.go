package api_test

import (
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/target"
)

func TestActivityByDimension(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	const v1 = "/api/v1/servers/gr%C3%B6%C3%9Fe%202/history"
	const range1 = "from=2024-11-22T11:50:00Z&to=2024-11-22T12:20:00Z"
	paths := []struct{ name, path, grain string }{
		{"history_activity_query", v1 + "/activity?" + range1 + "&step=10m&group_by=query", "10minute"},
		{"history_activity_user", v1 + "/activity?from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:20Z&step=5s&group_by=user&wait_class=lock&wait_class=cpu&client=(none)", ""},
		{"history_activity_class_of_client", v1 + "/activity?from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:20Z&step=5s&client=10.0.0.7", ""},
		{"history_top_wait_event", v1 + "/top?" + range1 + "&by=wait_event", "10minute"},
		{"history_top_query", v1 + "/top?" + range1 + "&by=query&limit=1", "10minute"},
		{"history_top_client", v1 + "/top?" + range1 + "&by=client&limit=1", "10minute"},
		{"history_top_user_of_query", v1 + "/top?" + range1 + "&by=user&query_id=-8123456789012345678&database=shop", ""},
		{"history_top_user_split", v1 + "/top?" + range1 + "&by=user&split=wait_class&limit=1", ""},
		{"history_top_event_split", v1 + "/top?" + range1 + "&by=wait_event&split=wait_class&wait_class!=lock", "10minute"},
		{"history_activity_but", v1 + "/activity?from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:20Z&step=5s&group_by=user&client!=10.0.0.7&query_id!=(none)", ""},
		{"history_compare", v1 + "/compare?from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:08Z&other_from=2024-11-22T12:00:08Z&other_to=2024-11-22T12:00:15Z&by=wait_event", ""},
		{"history_compare_default", v1 + "/compare?from=2024-11-22T12:00:00Z&to=2024-11-22T12:10:00Z", "10minute"},
	}
	// The answers are the same before it is compacted and after, but for the grain.
	before := make(map[string]string)
	for _, tt := range paths {
		before[tt.name] = string(a.want(200, a.get(tt.path)).Body)
	}
	if err := a.write.Compact(t.Context(), target.ID(pgtest.Value[int64](t, a.dsn, "select id from pgam.server")), noon); err != nil {
		t.Fatal(err)
	}
	for _, tt := range paths {
		r := a.want(200, a.get(tt.path))
		golden(t, tt.name, r)
		was := before[tt.name]
		if tt.grain != "" {
			was = strings.ReplaceAll(was, `"grain":"tick"`, `"grain":"`+tt.grain+`"`)
		}
		if was != string(r.Body) {
			t.Errorf("%s before:\n%s\nafter:\n%s", tt.name, before[tt.name], r.Body)
		}
	}
}

func TestActivityByDimensionRefused(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	const v1 = "/api/v1/servers/gr%C3%B6%C3%9Fe%202/history"
	for path, detail := range map[string]string{
		v1 + "/activity?group_by=user&from=2024-11-20T00:00:00Z&step=5m":                                                      "a step such as 10m, 1h or 1d",
		v1 + "/activity?group_by=user&from=2024-11-20T00:00:00Z&step=1h&database=shop":                                        "group by the dimension of the filter",
		v1 + "/activity?database=shop&query_id=canary":                                                                        "a query_id is a whole number",
		v1 + "/top?by=query&query_id!=canary":                                                                                 "a query_id is a whole number",
		v1 + "/top?from=canary":                                                                                               "from is not an instant",
		v1 + "/top?by=user&database=shop&from=2024-11-20T00:00:00Z":                                                           "for at most 6h0m0s",
		v1 + "/compare?other_from=canary&other_to=2024":                                                                       "other_from is not an instant: write 2026-11-22T03:12:00Z, or with an offset such as %2B03:00; other_to",
		v1 + "/compare?other_from=2024-11-22T12:00:00Z&other_to=2024-11-22T12:00:00Z":                                         "from must be before to",
		v1 + "/compare?from=1970-01-02&to=2199-01-01&other_from=2199-01-01":                                                   "must lie in the years",
		v1 + "/compare?from=2024-11-22T12:00:00Z&other_from=2024-11-20T00:00:00Z&other_to=2024-11-21T00:00:00Z&database=shop": "for at most 6h0m0s",
	} {
		r := a.want(400, a.get(path))
		if !strings.Contains(r.detail(t), detail) || strings.Contains(string(r.Body), "canary") || strings.Contains(r.detail(t), "invalid question") {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	for _, path := range []string{"/activity?group_by=canary", "/top?by=canary", "/top?limit=0", "/top?limit=101", "/activity?limit=101", "/compare?by=canary"} {
		if r := a.want(422, a.get(v1+path)); strings.Contains(string(r.Body), "canary") {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	a.want(404, a.get("/api/v1/servers/nosuch/history/top"))
	a.want(404, a.get("/api/v1/servers/nosuch/history/compare"))

	// A server that was there before what is kept.
	pgtest.Exec(t, a.dsn, "update pgam.server set created_at = '2020-01-01', activity_interval_seconds = null")
	if err := a.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, detail := range map[string]string{
		v1 + "/activity?from=2024-10-31T00:00:00Z&to=2024-11-02T00:00:00Z&step=5m": "sums by minute since 2024-11-01T00:00:00Z, by ten minutes since 2024-11-01T00:00:00Z, by hour since 2024-01-01T00:00:00Z",
		v1 + "/activity?from=2024-11-20T23:00:00Z&to=2024-11-21T01:00:00Z&step=5s": "single ticks since 2024-11-21T00:00:00Z",
		v1 + "/activity?from=2023-12-31T00:00:00Z&to=2024-11-21T01:00:00Z&step=1d": "by day since 2024-01-01T00:00:00Z",
		v1 + "/top?from=2023-12-31T00:00:00Z&to=2024-01-02T00:00:00Z&by=query":     "by day since 2024-01-01T00:00:00Z",
		v1 + "/compare?from=2024-11-22T12:00:00Z&other_from=2023-11-22T12:00:00Z":  "by day since 2024-01-01T00:00:00Z",
	} {
		if r := a.want(410, a.get(path)); !strings.Contains(r.detail(t), detail) {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	// What is kept by hour only is answered in whole hours.
	r := a.want(200, a.get(v1+"/top?from=2024-10-01T00:20:00Z&to=2024-10-02T03:40:00Z&by=query"))
	if !strings.Contains(string(r.Body), `"from":"2024-10-01T00:00:00Z","to":"2024-10-02T04:00:00Z"`) {
		t.Errorf("widened: %s", r.Body)
	}
}
