package compat

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
)

// usual is what encoding/json makes of a body.
func usual(tb testing.TB, body any) string {
	tb.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// odd are strings that are written in an unusual way.
var odd = []string{
	"", "postgres", `say "x" \ y`, "line\nfeed\r\ttab\b\f", "\x00\x01\x1f\x7f", "База данных", "<a href='x'>&amp;", "\u2028\u2029",
	"cut \xe2\x82", "\xff\xfe", "\U0001F600", "\uFFFD", strings.Repeat("x", 300), "a\u2028", "\\", "\"",
}

// fill gives every field of a value something, unknown fields too: one that is
// forgotten in writing shows.
func fill(rnd *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(odd[rnd.IntN(len(odd))])
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int32(rnd.Uint32())))
	case reflect.Float64:
		v.SetFloat([]float64{0, 1.5, -2, 1e21, 1e-7, 123456789.123, 1e300, 0.1, math.SmallestNonzeroFloat64}[rnd.IntN(9)] * (rnd.Float64() + 0.5))
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Pointer:
		v.SetZero()
		if rnd.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rnd, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rnd.IntN(4), 4))
		for i := range v.Len() {
			fill(rnd, v.Index(i))
		}
	case reflect.Map:
		v.SetZero()
		if rnd.IntN(4) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for range v.Len() + rnd.IntN(5) {
			if v.IsNil() {
				break
			}
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(rnd, key)
			fill(rnd, value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(instants[rnd.IntN(len(instants))]))
			return
		}
		for _, field := range v.Fields() {
			fill(rnd, field)
		}
	default:
		panic("no way to fill " + v.Kind().String())
	}
}

var instants = []time.Time{
	time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 10, 0, 0, 0, time.FixedZone("", 3*3600)),
	time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC),
	time.Date(1999, 12, 31, 23, 59, 59, 1000, time.UTC), time.Unix(0, 0), time.Date(2026, 11, 22, 10, 0, 0, 500_000_000, time.UTC),
}

// The bodies that write themselves write what encoding/json does.
func TestEncoding(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 11))
	for range 3000 {
		var (
			rows     serverRows
			sessions sessionsBody
		)
		fill(rnd, reflect.ValueOf(&rows).Elem())
		fill(rnd, reflect.ValueOf(&sessions).Elem())
		for _, body := range []interface{ AppendJSON([]byte) []byte }{rows, sessions} {
			if diff := cmp.Diff(usual(t, body), string(body.AppendJSON(nil))); diff != "" {
				t.Fatalf("%T:\n%s", body, diff)
			}
		}
	}
	for _, body := range []interface{ AppendJSON([]byte) []byte }{serverRows(nil), serverRows{}, sessionsBody{}} {
		if want, got := usual(t, body), string(body.AppendJSON([]byte("x"))); got != "x"+want {
			t.Errorf("%T: %s, want %s", body, got, want)
		}
	}
}

// The bodies of timelines hold what history gave; what they write is a list of
// points.
func TestTimelineEncoding(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 5))
	for range 2000 {
		var points []history.DatabasePoint
		fill(rnd, reflect.ValueOf(&points).Elem())
		for i := range points {
			if points[i].Connections = math.Abs(points[i].Connections); points[i].Connections > 1e9 {
				points[i].Connections = rnd.Float64() * 100
			}
			if i > 0 && rnd.IntN(2) == 0 {
				points[i].At = points[i-1].At
			}
		}
		server, database := make([]connectionPoint, len(points)), make([]databasePoint, len(points))
		for i, p := range points {
			connections := int64(math.RoundToEven(p.Connections))
			server[i] = connectionPoint{isoTime(p.At), p.Database, connections, sizeIn(p.SizeBytes, gibibyte)}
			database[i] = databasePoint{isoTime(p.At), connections, sizeIn(p.SizeBytes, mebibyte), p.Commits}
		}
		var (
			ofServer   serverStatsBody
			ofDatabase databaseStatsBody
		)
		fill(rnd, reflect.ValueOf(&ofServer).Elem())
		fill(rnd, reflect.ValueOf(&ofDatabase).Elem())
		ofServer.ConnectionTimeline, ofDatabase.Timeline = points, points
		// The list is put where encoding/json finds it, between the other fields.
		checkTimeline(t, ofServer, "connection_timeline", usual(t, server))
		checkTimeline(t, ofDatabase, "timeline", usual(t, database))
	}
	// Nothing is an empty list, never null.
	if got := string(serverStatsBody{Aggregation: "raw"}.AppendJSON(nil)); !strings.Contains(got, `"databases":[],"connection_timeline":[],"aggregation":"raw"}`) {
		t.Errorf("nothing: %s", got)
	}
	if got := string(databaseStatsBody{}.AppendJSON(nil)); !strings.Contains(got, `"timeline":[],`) {
		t.Errorf("nothing: %s", got)
	}
}

// checkTimeline compares what a body writes with what encoding/json makes of
// its fields one by one.
func checkTimeline(t *testing.T, body interface{ AppendJSON([]byte) []byte }, list, points string) {
	t.Helper()
	v := reflect.ValueOf(body)
	var fields []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		value := points
		if name != list {
			value = usual(t, v.Field(i).Interface())
		}
		fields = append(fields, `"`+name+`":`+value)
	}
	want := "{" + strings.Join(fields, ",") + "}"
	got := string(body.AppendJSON(nil))
	if got != want {
		t.Fatalf("%T:\n%s\nwant\n%s", body, got, want)
	}
	// encoding/json itself, asked for the body, writes the same.
	if direct := usual(t, body); direct != want {
		t.Fatalf("%T by encoding/json:\n%s\nwant\n%s", body, direct, want)
	}
}

func FuzzEncodeString(f *testing.F) {
	for _, s := range odd {
		f.Add(s, 0.5)
	}
	f.Add("x", 1e-9)
	f.Add("x", -1e-10)
	f.Add("x", 1e21)
	f.Fuzz(func(t *testing.T, s string, x float64) {
		if want, got := usual(t, s), string(appendString(nil, s)); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		if want, got := usual(t, x), string(appendFloat(nil, x)); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	})
}

func BenchmarkEncoding(b *testing.B) {
	at := instants[0]
	var points []history.DatabasePoint
	for hour := range 365 {
		for n := range 50 {
			size := int64(n+1)*123456789 + int64(hour)
			points = append(points, history.DatabasePoint{
				At: at.Add(time.Duration(hour) * 24 * time.Hour), Database: "db_" + string(rune('a'+n%26)), Connections: 5.25, SizeBytes: &size, Commits: 12345,
			})
		}
	}
	body := serverStatsBody{ConnectionTimeline: points, Aggregation: "day"}
	var out []byte
	for b.Loop() {
		out = body.AppendJSON(out[:0])
	}
	b.SetBytes(int64(len(out)))
}
