package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/catalog"
)

// oneSetting knows a single setting, that must not be bad.
type oneSetting struct{ catalog *catalog.Catalog }

const settingName = "PGAM_RETENTION_ACTIVITY"

func (s oneSetting) Settings(ctx context.Context) ([]route.Setting, error) {
	stored, err := s.catalog.Settings(ctx)
	row := route.Setting{
		Name: settingName, Value: "30d", Default: "30d", Source: route.SettingDefault, Description: "How long.", Limits: "1h to 36500d", Unit: "duration",
	}
	for _, one := range stored {
		if one.Name == settingName && one.Value != nil {
			row.Value, row.Source, row.UpdatedAt, row.UpdatedBy = *one.Value, route.SettingChanged, one.UpdatedAt, one.UpdatedBy
		}
	}
	return []route.Setting{row}, err
}

func (s oneSetting) ChangeSettings(ctx context.Context, changes map[string]*string, by string) error {
	for name, value := range changes {
		if name != settingName || value != nil && *value == "bad" {
			return fmt.Errorf("%w: %s is not for this", route.ErrSetting, name)
		}
	}
	return s.catalog.ChangeSettings(ctx, changes, by)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	const path = "/api/v1/settings"
	first := func(r answer) row {
		t.Helper()
		return a.row(a.want(200, r))["items"].([]any)[0].(row)
	}
	a.token = a.tokenOf(account.Viewer)
	got := first(a.get(path))
	if got["name"] != settingName || got["value"] != "30d" || got["source"] != "default" || got["updated_at"] != nil || got["updated_by"] != nil ||
		got["limits"] != "1h to 36500d" || got["unit"] != "duration" || got["default"] != "30d" {
		t.Errorf("at first: %v", got)
	}
	for _, role := range []account.Role{account.Viewer, account.Operator} {
		a.token = a.tokenOf(role)
		a.want(403, a.json(http.MethodPatch, path, row{settingName: "14d"}))
	}
	a.token = ""
	a.want(401, a.get(path))
	a.want(401, a.json(http.MethodPatch, path, row{settingName: "14d"}))
	a.token = a.tokenOf(account.Admin)
	if got := first(a.get(path)); got["value"] != "30d" {
		t.Errorf("somebody else changed it: %v", got)
	}
	changed := first(a.json(http.MethodPatch, path, row{settingName: "14d"}))
	if changed["value"] != "14d" || changed["source"] != "changed" || changed["updated_by"] != "admin" || changed["updated_at"] == nil {
		t.Errorf("changed: %v", changed)
	}
	for _, body := range []row{{settingName: "bad"}, {"PGAM_STATS_DSN": "canary"}, {settingName: 5}, {settingName: row{}}} {
		if r := a.want(422, a.json(http.MethodPatch, path, body)); strings.Contains(string(r.Body), "canary") {
			t.Errorf("%v: %s", body, r.Body)
		}
	}
	a.want(400, a.send(http.MethodPatch, path, "application/json", "{"))
	if got := first(a.get(path)); got["value"] != "14d" {
		t.Errorf("what was refused is stored: %v", got)
	}
	if back := first(a.json(http.MethodPatch, path, row{settingName: nil})); back["value"] != "30d" || back["source"] != "default" {
		t.Errorf("taken back: %v", back)
	}
}

// TestServerKeeps has the options of a server that are about its history.
func TestServerKeeps(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	const all, one = "/api/v1/servers", "/api/v1/servers/db1"
	burst := func(r row) string {
		b := r["burst"].(row)
		return fmt.Sprint(r["query_texts"], " ", b["active"], " ", b["lock_waits"], " ", b["connections_percent"])
	}
	made := a.row(a.want(201, a.json(http.MethodPost, all, row{"name": "db1", "host": "h", "user": "u"})))
	if got := burst(made); got != "normalized <nil> <nil> <nil>" {
		t.Errorf("made with %s", got)
	}
	// Whole texts are an administrator's to ask for, and everybody's to keep.
	a.want(403, a.json(http.MethodPost, all, row{"name": "db2", "host": "h", "user": "u", "query_texts": "full"}))
	a.want(403, a.json(http.MethodPatch, one, row{"query_texts": "full"}))
	a.token = a.tokenOf(account.Admin)
	a.want(200, a.json(http.MethodPatch, one, row{"query_texts": "full"}))
	a.token = a.tokenOf(account.Operator)
	for _, tt := range []struct {
		body row
		want string
	}{
		{row{"query_texts": "full", "burst": row{"active": 0, "lock_waits": 3, "connections_percent": 80}}, "full 0 3 80"},
		{row{"burst": row{"active": nil}}, "full <nil> 3 80"},
		{row{"burst": row{}}, "full <nil> 3 80"},
		{row{"query_texts": "none"}, "none <nil> 3 80"},
	} {
		if got := burst(a.row(a.want(200, a.json(http.MethodPatch, one, tt.body)))); got != tt.want {
			t.Errorf("%v: %s", tt.body, got)
		}
	}
	for _, body := range []row{
		{"query_texts": "some"},
		{"query_texts": ""},
		{"burst": row{"active": -1}},
		{"burst": row{"active": 1.5}},
		{"burst": row{"active": "9"}},
		{"burst": row{"connections_percent": 101}},
		{"burst": row{"lock_waits": 1000001}},
		{"burst": row{"other": 1}},
	} {
		a.want(422, a.json(http.MethodPatch, one, body))
	}
	if got := burst(a.row(a.want(200, a.get(one)))); got != "none <nil> 3 80" {
		t.Errorf("after what was refused: %s", got)
	}
	// The Python contract knows none of it, and leaves it alone.
	a.want(200, a.json(http.MethodPut, "/servers/db1", row{"name": "db1", "host": "h", "port": 5432, "user": "u"}))
	if got := burst(a.row(a.want(200, a.get(one)))); got != "none <nil> 3 80" {
		t.Errorf("after a PUT: %s", got)
	}
}
