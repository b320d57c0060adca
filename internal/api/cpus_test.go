package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// How many processors a host has is told as of the range, by the host unless
// somebody typed it in.
func TestCPUCount(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	const server = "/api/v1/servers/db1"
	made := must[target.Target](t)(a.stored.CreateServer(t.Context(), target.Target{Name: "db1", Enabled: true, Endpoint: target.Endpoint{Host: "127.0.0.1", Port: 1, User: "u"}}))
	if err := a.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := func(path string, list string) string {
		t.Helper()
		body := a.row(a.want(200, a.get(path)))
		if list != "" {
			body = body[list].([]any)[0].(row)
		}
		return fmt.Sprintf("%v by %v", body["cpu_count"], body["cpu_count_source"])
	}
	now := time.Now().UTC().Truncate(time.Second)
	until := func(at time.Time) string {
		return told(server+"/history/activity?step=1m&from="+at.Add(-10*time.Minute).Format(time.RFC3339)+"&to="+at.Format(time.RFC3339), "")
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("nobody looked", until(now), "<nil> by <nil>")
	check("nobody looked, fleet", told("/api/v1/fleet", "servers"), "<nil> by <nil>")
	visits := []*sample.Visit{{Server: made.ID, Identity: &sample.Identity{At: now.Add(-50 * time.Minute), VersionNum: 150000, Version: "15.1", PostmasterStart: now.Add(-time.Hour)}}}
	for cpus, ago := range map[int32]time.Duration{8: 50 * time.Minute, 16: 30 * time.Minute} {
		visits = append(visits, &sample.Visit{Server: made.ID, Disks: &sample.Disks{At: now.Add(-ago), Source: target.DiskSSH, CPUs: cpus}})
	}
	if err := a.write.EnsurePartitions(t.Context(), now.Add(-24*time.Hour), now.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := a.write.Append(t.Context(), made.ID, visits); err != nil {
		t.Fatal(err)
	}
	check("now", until(now), "16 by host")
	check("before it got more", until(now.Add(-40*time.Minute)), "8 by host")
	check("before the first look", until(now.Add(-55*time.Minute)), "8 by host")
	check("fleet", told("/api/v1/fleet", "servers"), "16 by host")

	a.token = a.tokenOf(account.Operator)
	for _, wrong := range []any{0, -1, 65537, 1.5, "many"} {
		a.want(422, a.json(http.MethodPatch, server, row{"cpu_count": wrong}))
	}
	a.want(200, a.json(http.MethodPatch, server, row{"cpu_count": 4}))
	check("typed in", until(now), "4 by option")
	check("typed in, fleet", told("/api/v1/fleet", "servers"), "4 by option")
	if one := a.row(a.want(200, a.get(server))); one["cpu_count"] != 4.0 {
		t.Errorf("the server: %v", one["cpu_count"])
	}
	a.want(200, a.json(http.MethodPatch, server, row{"cpu_count": nil}))
	check("taken back", until(now), "16 by host")
}
