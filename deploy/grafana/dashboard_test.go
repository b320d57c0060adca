package grafana

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The parts of Grafana's dashboards that are looked at; names are Grafana's.
type (
	dashboard struct {
		UID           string `json:"uid"`
		Title         string `json:"title"`
		Description   string `json:"description"`
		SchemaVersion int    `json:"schemaVersion"` //nolint:tagliatelle // Grafana's
		Time          struct {
			From string `json:"from"`
		} `json:"time"`
		Templating struct {
			List []variable `json:"list"`
		} `json:"templating"`
		Annotations struct {
			List []annotation `json:"list"`
		} `json:"annotations"`
		Panels []panel `json:"panels"`
	}
	variable struct {
		Name    string `json:"name"`
		Type    string `json:"type"`
		Query   string `json:"query"`
		Multi   bool   `json:"multi"`
		Current struct {
			Value any `json:"value"`
		} `json:"current"`
	}
	annotation struct {
		Name       string     `json:"name"`
		Datasource datasource `json:"datasource"`
		Target     query      `json:"target"`
	}
	panel struct {
		ID            int        `json:"id"`
		Type          string     `json:"type"`
		Title         string     `json:"title"`
		Description   string     `json:"description"`
		Datasource    datasource `json:"datasource"`
		Interval      string     `json:"interval"`
		MaxDataPoints int        `json:"maxDataPoints"` //nolint:tagliatelle // Grafana's
		GridPos       box        `json:"gridPos"`       //nolint:tagliatelle // Grafana's
		FieldConfig   struct {
			Defaults struct {
				Unit string `json:"unit"`
			} `json:"defaults"`
			Overrides []struct {
				Matcher struct {
					Options string `json:"options"`
				} `json:"matcher"`
			} `json:"overrides"`
		} `json:"fieldConfig"` //nolint:tagliatelle // Grafana's
		Targets []query `json:"targets"`
	}
	query struct {
		Datasource datasource `json:"datasource"`
		Format     string     `json:"format"`
		RawSQL     string     `json:"rawSql"` //nolint:tagliatelle // Grafana's
	}
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	box struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
)

// stats is the data source that provisioning makes.
var stats = datasource{"grafana-postgresql-datasource", "pgam"}

func dashboards(tb testing.TB) map[string]dashboard {
	tb.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil {
		tb.Fatal(err)
	}
	all := make(map[string]dashboard, len(files))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(data, &d); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = d
	}
	if len(all) < 6 {
		tb.Fatalf("only %d dashboards", len(all))
	}
	return all
}

// A dashboard can be imported anywhere, tells what to do, and is laid out
// without holes that one falls into.
func TestDashboards(t *testing.T) {
	t.Parallel()
	uids := map[string]string{}
	for name, d := range dashboards(t) {
		if other := uids[d.UID]; other != "" || d.UID != "pgam-"+name {
			t.Errorf("%s: uid %q, which %q has", name, d.UID, other)
		}
		uids[d.UID] = name
		if d.Title == "" || d.Description == "" || d.SchemaVersion < 39 || d.SchemaVersion > 41 {
			t.Errorf("%s: title %q, description %q, schema version %d", name, d.Title, d.Description, d.SchemaVersion)
		}
		ids := map[int]bool{}
		for i, p := range d.Panels {
			checkPanel(t, name, &p)
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", name, p.ID)
			}
			ids[p.ID] = true
			for _, q := range d.Panels[:i] {
				a, b := p.GridPos, q.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s: %q lies over %q", name, p.Title, q.Title)
				}
			}
		}
		for _, a := range d.Annotations.List {
			if own := a.Datasource == stats && a.Target.Datasource == stats; !own && a.Datasource.UID != "-- Grafana --" {
				t.Errorf("%s: annotation %q asks %v", name, a.Name, a.Datasource)
			}
		}
	}
}

func checkPanel(t *testing.T, name string, p *panel) {
	t.Helper()
	at := name + ": " + p.Title
	if !slices.Contains([]string{"timeseries", "table", "stat"}, p.Type) {
		t.Errorf("%s: is a %q, which may not come with Grafana", at, p.Type)
	}
	if p.Title == "" || len(p.Description) < 40 || p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("%s: description %q, unit %q", at, p.Description, p.FieldConfig.Defaults.Unit)
	}
	if p.GridPos.X < 0 || p.GridPos.W < 4 || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H < 3 {
		t.Errorf("%s: lies at %+v", at, p.GridPos)
	}
	if len(p.Targets) != 1 || p.Datasource != stats || p.Targets[0].Datasource != stats {
		t.Errorf("%s: asks %v, %+v", at, p.Datasource, p.Targets)
		return
	}
	if want := map[bool]string{true: "time_series", false: "table"}[p.Type == "timeseries"]; p.Targets[0].Format != want {
		t.Errorf("%s: format %q, want %q", at, p.Targets[0].Format, want)
	}
}

// Files are as jq writes them, name no host, need nothing asked or installed.
func TestDashboardFiles(t *testing.T) {
	t.Parallel()
	strange := regexp.MustCompile(`(?i)https?:|__inputs|__requires|pluginVersion|DS_[A-Z]|[a-z]\.(com|org|dev)\b`)
	for name := range dashboards(t) {
		data, err := os.ReadFile(filepath.Join("dashboards", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var tidy bytes.Buffer
		if err := json.Indent(&tidy, bytes.TrimSpace(data), "", "  "); err != nil {
			t.Fatal(err)
		}
		tidy.WriteByte('\n')
		if !bytes.Equal(tidy.Bytes(), data) {
			t.Errorf("%s: is not laid out by two spaces", name)
		}
		if found := strange.FindAllString(string(data), -1); found != nil {
			t.Errorf("%s: %q", name, found)
		}
	}
}

// What is provisioned is what dashboards refer to.
func TestProvisioning(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"provisioning/datasources/pgam.yaml": {"uid: " + stats.UID + "\n", "type: " + stats.Type + "\n"},
		"provisioning/dashboards/pgam.yaml":  {"/dashboards\n", "type: file\n"},
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(data), w) {
				t.Errorf("%s has no %q", file, w)
			}
		}
	}
}
