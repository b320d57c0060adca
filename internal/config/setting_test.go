package config

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

var update = flag.Bool("update", false, "write the table of settings into docs/OPERATIONS.md")

const (
	tableBegin = "<!-- settings:begin -->\n"
	tableEnd   = "<!-- settings:end -->"
)

func TestMarkdownTable_IsInOperations(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "OPERATIONS.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(data), tableBegin)
	table, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		t.Fatalf("%s lacks the lines %s and %s", path, strings.TrimSpace(tableBegin), tableEnd)
	}
	want := MarkdownTable()
	if table == want {
		return
	}
	if !*update {
		t.Fatalf("the table of settings in %s is stale: run go test ./internal/config -update", path)
	}
	if err := os.WriteFile(path, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSettings_AreWellFormed sees to it that no tag is wrong: load relies on it.
func TestSettings_AreWellFormed(t *testing.T) {
	t.Parallel()
	for _, spec := range []any{&Collector{}, &API{}, &Tool{}} {
		seen := make(map[string]bool)
		for _, f := range fieldsOf(spec) {
			if seen[f.name] || f.name == prefix || strings.ToUpper(f.name) != f.name {
				t.Errorf("%s: name missing, doubled or not in capitals", f.name)
			}
			seen[f.name] = true
			if desc := f.tags.Get("desc"); !strings.HasSuffix(desc, ".") || strings.ContainsAny(desc, "|\n") {
				t.Errorf("%s: description %q", f.name, desc)
			}
			for _, tag := range []string{"min", "max", "step"} {
				limit := f.tags.Get(tag)
				if limit == "" {
					continue
				}
				if err := convert(reflect.New(f.value.Type()).Elem(), limit); err != nil || (tag != "min" && f.limit(tag) == 0) {
					t.Errorf("%s: %s %q cannot be read: %v", f.name, tag, limit, err)
				}
			}
			if preset := f.tags.Get("default"); preset != "" {
				if err := f.set(preset); err != nil {
					t.Errorf("%s: its default: %v", f.name, err)
				}
			}
			if f.example() == "" {
				t.Errorf("%s: neither default nor example", f.name)
			}
			if f.required() && !f.secret {
				t.Errorf("%s: required, but the fault line speaks of a file", f.name)
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	byName := make(map[string]Setting)
	for _, setting := range Describe() {
		if _, twice := byName[setting.Name]; twice {
			t.Errorf("%s is described twice", setting.Name)
		}
		byName[setting.Name] = setting
	}
	if s := byName["PGAM_STATS_DSN"]; !s.Secret || !s.Required || strings.Join(s.Programs, " ") != "collector api pgam" {
		t.Errorf("%+v", s)
	}
	if s := byName["PGAM_TOKEN_TTL"]; s.Default != "60m" || s.Unit != "duration" || s.Limits != "1m to 24h" || s.PythonName != "TOKEN_EXPIRATION" {
		t.Errorf("%+v", s)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for wrong, want := range map[string]int{"": 6, "listen": 0, "lsiten": 2, "listn": 1, "xlisten": 1, "silent": 4} {
		if got := edits(wrong, "listen"); got != want {
			t.Errorf("edits(%q) = %d, want %d", wrong, got, want)
		}
	}
	symmetric := func(a, b string) bool { return edits(a, b) == edits(b, a) && (edits(a, b) == 0) == (a == b) }
	if err := quick.Check(symmetric, nil); err != nil {
		t.Error(err)
	}
}

func TestDuration_String(t *testing.T) {
	t.Parallel()
	for want, length := range map[string]time.Duration{"30d": 30 * day, "1d": day, "0s": 0, "36h0m0s": 36 * time.Hour, "1.5s": 1500 * time.Millisecond} {
		if got := Duration(length).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		var back Duration
		if err := back.Decode(want); err != nil || back.Std() != length {
			t.Errorf("%s came back as %v, %v", want, back, err)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"1s", "30d", "1d12h", "-1s", "0", "0s", "d", "1d-1h", "1d+1h", "106751d23h59m", "9223372036s", "1h1d", "+1h", "µs", ".5s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, again Duration
		if got.Decode(text) != nil {
			return
		}
		if got < 0 {
			t.Fatalf("%q is negative: %v", text, got)
		}
		if err := again.Decode(got.String()); err != nil || again != got {
			t.Fatalf("%q: %v came back as %v, %v", text, got, again, err)
		}
	})
}

func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"1", "2GiB", "20 MiB", "1kb", "-1", "1.5GB", "9223372036854775807", "8388608TiB", "B", "", "+1", "0x10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got Bytes
		if got.Decode(text) == nil && got < 0 {
			t.Fatalf("%q is negative: %d", text, got)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add("host='a b' dbname=x\\", "1-2", "https://a,b", "[::1]:1")
	f.Add("postgres://u:p@h/d?%", "-", "::1", ":")
	f.Fuzz(func(t *testing.T, dsn, pool, list, address string) {
		_, err := LoadAPI([]string{
			"PGAM_STATS_DSN=" + dsn, "PGAM_TOKEN_KEY=" + dsn, "PGAM_POOL_STATS=" + pool,
			"PGAM_CORS_ORIGINS=" + list, "PGAM_TRUSTED_PROXIES=" + list, "PGAM_LISTEN=" + address,
		})
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, prefix) {
				t.Fatalf("a fault without a variable: %q", line)
			}
		}
	})
}
