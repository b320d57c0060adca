package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/secret"
)

const (
	dsn      = "postgres://pgam:canary@127.0.0.1:5432/stats_db"
	tokenKey = "Zq3v8xN1kT7wPbR5yLm2Jd9HsGf4Ce6A"
)

// required is the least environment of both daemons, with more variables.
func required(more ...string) []string {
	return append([]string{"PATH=/bin", "PGAM_STATS_DSN=" + dsn, "PGAM_TOKEN_KEY=" + tokenKey}, more...)
}

func TestLoadAPI_Defaults(t *testing.T) {
	t.Parallel()
	got, err := config.LoadAPI(required())
	if err != nil {
		t.Fatal(err)
	}
	want := config.API{
		Shared:   config.Shared{KeyFile: "/etc/pgam/keyring.json", LogLevel: config.Level(slog.LevelInfo), LogFormat: "text"},
		Daemon:   config.Daemon{SSH: config.SSH{SSHTimeout: config.Duration(5 * time.Second)}, ShutdownTimeout: config.Duration(5 * time.Second)},
		StatsDSN: secret.New(dsn), Listen: "127.0.0.1:8000",
		TokenKey: secret.New(tokenKey), TokenTTL: config.Duration(time.Hour), TokenIssuer: "pgam", TokenAudience: "pgam-api",
		SessionIdle: config.Duration(12 * time.Hour), SessionLifetime: config.Duration(7 * 24 * time.Hour),
		PoolDefault: config.PoolSize{Min: 1, Max: 5}, PoolStats: config.PoolSize{Min: 2, Max: 10}, PoolHighLoad: config.PoolSize{Min: 5, Max: 20},
		StatusCacheTTL: config.Duration(5 * time.Second), SSHCacheTTL: config.Duration(30 * time.Second),
		LoginRate: 30, SSHHostKeys: "strict", SessionControl: "off", LiveDeadline: config.Duration(5 * time.Second), MaxStreams: 100,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadCollector_Defaults(t *testing.T) {
	t.Parallel()
	got, err := config.LoadCollector(required())
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	want := config.Collector{
		Shared:   config.Shared{KeyFile: "/etc/pgam/keyring.json", LogLevel: config.Level(slog.LevelInfo), LogFormat: "text"},
		Daemon:   config.Daemon{SSH: config.SSH{SSHTimeout: config.Duration(5 * time.Second)}, ShutdownTimeout: config.Duration(5 * time.Second)},
		StatsDSN: secret.New(dsn), DataDir: "/var/lib/pgam", HealthListen: "127.0.0.1:8001",
		ActivityInterval: config.Duration(time.Second), DatabasesInterval: config.Duration(10 * time.Second),
		InventoryInterval: config.Duration(time.Minute), SizesInterval: config.Duration(30 * time.Minute), DisksInterval: config.Duration(time.Minute),
		ConnectTimeout: config.Duration(5 * time.Second),
		MaxConnecting:  16, MaxProcs: 1, JournalMaxBytes: 2 << 30,
		BurstActive: 50, BurstLockWaits: 5, BurstConnectionsPercent: 90,
		BurstLength: config.Duration(time.Minute), BurstPause: config.Duration(5 * time.Minute),
		RetentionActivity: config.Duration(30 * day), RetentionMinutes: config.Duration(90 * day),
		RetentionDatabases: config.Duration(730 * day), RetentionDisks: config.Duration(730 * day), RetentionRollups: config.Duration(730 * day), RetentionAudit: config.Duration(400 * day),
		RetentionDetachConcurrently: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_Values(t *testing.T) {
	t.Parallel()
	api, err := config.LoadAPI(required(
		"PGAM_LISTEN= [::1]:0 ", "PGAM_LOG_LEVEL=WARNING", "PGAM_LOG_FORMAT=json", "PGAM_TOKEN_TTL=1h30m",
		"PGAM_CORS_ORIGINS= https://a.example , http://localhost:3000,", "PGAM_TRUSTED_PROXIES=10.0.0.0/8, ::1",
		"PGAM_POOL_DEFAULT=0-1", "PGAM_TOKEN_KEY_PREVIOUS="+strings.ToLower(tokenKey), "PGAM_STATUS_CACHE_TTL=500ms",
	))
	if err != nil {
		t.Fatal(err)
	}
	if api.Listen != "[::1]:0" || api.LogLevel.Level() != slog.LevelWarn || api.LogFormat != "json" || api.TokenTTL.Std() != 90*time.Minute ||
		!slices.Equal(api.CORSOrigins, []string{"https://a.example", "http://localhost:3000"}) ||
		!slices.Equal(api.TrustedProxies, []string{"10.0.0.0/8", "::1"}) || api.PoolDefault != (config.PoolSize{Min: 0, Max: 1}) ||
		api.TokenKeyPrevious.Reveal() != strings.ToLower(tokenKey) || api.StatusCacheTTL.Std() != 500*time.Millisecond {
		t.Errorf("%+v", api)
	}
	collector, err := config.LoadCollector(required(
		"PGAM_JOURNAL_MAX_BYTES=20 MiB", "PGAM_RETENTION_ACTIVITY=1d12h", "PGAM_ACTIVITY_INTERVAL=60s",
		"PGAM_RETENTION_DETACH_CONCURRENTLY=false", "PGAM_MAX_CONNECTING=1", "PGAM_LISTEN=for the API:1",
	))
	if err != nil {
		t.Fatal(err)
	}
	if collector.JournalMaxBytes != 20<<20 || collector.RetentionActivity.Std() != 36*time.Hour ||
		collector.RetentionDetachConcurrently || collector.MaxConnecting != 1 {
		t.Errorf("%+v", collector)
	}
}

func TestLoad_EmptyIsNotSet(t *testing.T) {
	t.Parallel()
	got, err := config.LoadAPI(required(
		"PGAM_LISTEN=", "PGAM_TOKEN_TTL=  ", "PGAM_CORS_ORIGINS=", "PGAM_TOKEN_KEY_PREVIOUS=", "PGAM_TOKEN_KEY_FILE=", "PGAM_NO_SUCH=",
		"CREDENTIALS_DIRECTORY=",
	))
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:8000" || got.TokenTTL.Std() != time.Hour || len(got.CORSOrigins) != 0 || !got.TokenKeyPrevious.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestLoad_PythonNames(t *testing.T) {
	t.Parallel()
	python := []string{
		"PGAM_STATS_DSN=" + dsn, "SECRET_KEY=" + tokenKey, "TOKEN_EXPIRATION=30", "LOG_LEVEL=CRITICAL",
		"SERVER_STATUS_CACHE_TTL=7", "SSH_CACHE_TTL=45",
	}
	got, err := config.LoadAPI(python)
	if err != nil {
		t.Fatal(err)
	}
	if got.TokenKey.Reveal() != tokenKey || got.TokenTTL.Std() != 30*time.Minute || got.LogLevel.Level() != slog.LevelError ||
		got.StatusCacheTTL.Std() != 7*time.Second || got.SSHCacheTTL.Std() != 45*time.Second {
		t.Errorf("%+v", got)
	}
	got, err = config.LoadAPI(append(python, "PGAM_TOKEN_TTL=2h", "PGAM_LOG_LEVEL=debug", "PGAM_TOKEN_KEY="+strings.ToUpper(tokenKey)))
	if err != nil {
		t.Fatal(err)
	}
	if got.TokenTTL.Std() != 2*time.Hour || got.LogLevel.Level() != slog.LevelDebug || got.TokenKey.Reveal() != strings.ToUpper(tokenKey) {
		t.Errorf("the PGAM_ names do not come first: %+v", got)
	}
	if _, err := config.LoadAPI([]string{"PGAM_STATS_DSN=" + dsn, "SECRET_KEY=default-secret-for-local-testing"}); err == nil ||
		!strings.HasPrefix(err.Error(), "SECRET_KEY: is a default") {
		t.Errorf("the public key of the Python version: %v", err)
	}
}

// faults says, for one bad variable, the fault line's words beside the name.
var faults = map[string]string{
	"PGAM_STATS_DSN=mysql://u:canary@h/db":                  "postgres://",
	"PGAM_STATS_DSN=postgres://u:can%ary@h/db":              "%XX",
	"PGAM_STATS_DSN=postgres://u:canary@h:port/db":          "%XX",
	"PGAM_STATS_DSN=postgres://u:canary@h:5432":             "names no database",
	"PGAM_STATS_DSN=postgres://u:canary@h/db#frag":          "%23",
	"PGAM_STATS_DSN=host=h password=canary":                 "dbname=",
	"PGAM_STATS_DSN=host=h dbname=d password='canary":       "quote",
	"PGAM_STATS_DSN=canary":                                 "must be a URL",
	"PGAM_STATS_DSN=host=h dbname=d canary":                 "must be a URL",
	"PGAM_STATS_DSN=[redacted]":                             "placeholder",
	"PGAM_TOKEN_KEY=canary":                                 "at least 32",
	"PGAM_TOKEN_KEY=canary-canary-canary-canary-canary-can": "repeats",
	"PGAM_TOKEN_KEY=changeme-canary-0123456789-abcdefghijk": "anyone can guess",
	"PGAM_TOKEN_KEY=Change_Me_canary-0123456789abcdefghijk": "anyone can guess",
	"PGAM_TOKEN_KEY=default-secret-for-local-testing":       "anyone can guess",
	"PGAM_TOKEN_KEY=secretcanary0123456789abcdefghijklmnop": "anyone can guess",
	"PGAM_TOKEN_KEY=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": "repeats",
	"PGAM_TOKEN_KEY=12345678901234567890123456789012":       "repeats",
	"PGAM_TOKEN_KEY_PREVIOUS=canary":                        "at least 32",
	"PGAM_TOKEN_KEY_PREVIOUS=" + tokenKey:                   "must differ",
	"PGAM_TOKEN_KEY_FILE=/nonexistent/file":                 "no such file",
	"PGAM_KEY_FILE=canary/relative":                         "absolute",
	"PGAM_LOG_LEVEL=canary":                                 "debug, info, warning or error",
	"PGAM_LOG_FORMAT=canary":                                "text or json",
	"PGAM_LISTEN=canary":                                    "host:port",
	"PGAM_LISTEN=canary:http":                               "0 to 65535",
	"PGAM_LISTEN=canary:65536":                              "0 to 65535",
	"PGAM_LISTEN=canary:+80":                                "0 to 65535",
	"PGAM_LISTEN=http://canary:80":                          "host:port",
	"PGAM_LISTEN=can ary:80":                                "plain host",
	"PGAM_TOKEN_TTL=60":                                     "with its unit",
	"PGAM_TOKEN_TTL=canary":                                 "with its unit",
	"PGAM_TOKEN_TTL=-5m":                                    "with its unit",
	"PGAM_TOKEN_TTL=25h":                                    "1m to 24h",
	"PGAM_TOKEN_TTL=59s":                                    "1m to 24h",
	"PGAM_CORS_ORIGINS=*":                                   "each origin",
	"PGAM_CORS_ORIGINS=https://*.canary":                    "http://",
	"PGAM_CORS_ORIGINS=https://canary/":                     "item 1",
	"PGAM_CORS_ORIGINS=https://a.example, canary":           "item 2",
	"PGAM_CORS_ORIGINS=https://u:canary@a.example":          "http://",
	"PGAM_CORS_ORIGINS=null":                                "http://",
	"PGAM_TRUSTED_PROXIES=canary":                           "IP address",
	"PGAM_TRUSTED_PROXIES=10.0.0.0/33":                      "IP address",
	"PGAM_POOL_DEFAULT=5":                                   "least-most",
	"PGAM_POOL_DEFAULT=5-1":                                 "least-most",
	"PGAM_POOL_DEFAULT=0-0":                                 "least-most",
	"PGAM_POOL_DEFAULT=-1-5":                                "least-most",
	"PGAM_POOL_DEFAULT=1-canary":                            "least-most",
	"PGAM_POOL_STATS=1-1001":                                "least-most",
	"PGAM_LIVE_DEADLINE=0s":                                 "100ms to 1m",
	"PGAM_DATA_DIR=canary":                                  "absolute",
	"PGAM_ACTIVITY_INTERVAL=1500ms":                         "whole seconds",
	"PGAM_ACTIVITY_INTERVAL=61s":                            "1s to 60s",
	"PGAM_JOURNAL_MAX_BYTES=canary":                         "whole number of bytes",
	"PGAM_JOURNAL_MAX_BYTES=1.5GiB":                         "whole number of bytes",
	"PGAM_JOURNAL_MAX_BYTES=1kB":                            "1MiB to 16TiB",
	"PGAM_JOURNAL_MAX_BYTES=99999999999999TiB":              "whole number of bytes",
	"PGAM_MAX_CONNECTING=canary":                            "whole number",
	"PGAM_MAX_CONNECTING=1.5":                               "whole number",
	"PGAM_MAX_CONNECTING=0":                                 "1 to 1000",
	"PGAM_RETENTION_ACTIVITY=30days":                        "with its unit",
	"PGAM_RETENTION_ACTIVITY=99999d":                        "with its unit",
	"PGAM_RETENTION_ACTIVITY=40000d":                        "36500d",
	"PGAM_RETENTION_DETACH_CONCURRENTLY=canary":             "true or false",
	"PGAM_TOKN_KEY=canary":                                  "did you mean PGAM_TOKEN_KEY?",
	"PGAM_TOKENKEY=canary":                                  "did you mean PGAM_TOKEN_KEY?",
	"pgam_listen=canary":                                    "did you mean PGAM_LISTEN?",
	"PGAM_LISTEN_FILE=canary":                               "set PGAM_LISTEN itself",
	"PGAM_TOKEN_KEY_FIL=canary":                             "did you mean PGAM_TOKEN_KEY_FILE?",
	"PGAM_COMPLETELY_ELSE=canary":                           "docs/OPERATIONS.md",
	"PGAM_=canary":                                          "unknown setting",
}

// loadBoth loads both daemons' configuration and returns all fault lines.
func loadBoth(environ []string) []string {
	var lines []string
	if _, err := config.LoadAPI(environ); err != nil {
		lines = append(lines, strings.Split(err.Error(), "\n")...)
	}
	if _, err := config.LoadCollector(environ); err != nil {
		lines = append(lines, strings.Split(err.Error(), "\n")...)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func TestLoad_OneFaultOneLine(t *testing.T) {
	t.Parallel()
	for variable, want := range faults {
		name, value, _ := strings.Cut(variable, "=")
		environ := slices.DeleteFunc(required(), func(entry string) bool {
			return strings.HasPrefix(entry, name+"=") || strings.HasPrefix(entry, strings.TrimSuffix(name, "_FILE")+"=")
		})
		lines := loadBoth(append(environ, variable))
		if len(lines) != 1 {
			t.Errorf("%s: %d lines: %q", variable, len(lines), lines)
			continue
		}
		if !strings.Contains(lines[0], want) || !strings.Contains(lines[0], name) {
			t.Errorf("%s: %q is missing from: %s", variable, want, lines[0])
		}
		if strings.Contains(lines[0], "canary") || len(value) >= 12 && !strings.HasPrefix(value, "/") && strings.Contains(lines[0], value) {
			t.Errorf("%s: the value stands in: %s", variable, lines[0])
		}
	}
}

func TestLoad_AllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	environ := []string{"PGAM_LISTEN=canary", "PGAM_TOKEN_TTL=canary", "PGAM_POOL_STATS=canary", "PGAM_TOKN_TTL=canary", "PGAM_LOG_FORMAT=canary"}
	_, err := config.LoadAPI(environ)
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, name := range []string{
		"PGAM_LISTEN: ", "PGAM_TOKEN_TTL: ", "PGAM_POOL_STATS: ", `"PGAM_TOKN_TTL": `, "PGAM_LOG_FORMAT: ", "PGAM_STATS_DSN: not set", "PGAM_TOKEN_KEY: not set",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name) }) {
			t.Errorf("no line for %s in %q", name, lines)
		}
	}
	if len(lines) != 7 || strings.Contains(err.Error(), "canary") {
		t.Errorf("%d lines: %s", len(lines), err)
	}
}

// TestLoad_ExamplesAreAccepted takes the example out of each fault and tries it.
func TestLoad_ExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	tried := 0
	for variable := range faults {
		for _, line := range loadBoth(append([]string{variable}, required()...)) {
			_, example, found := strings.Cut(line, "for example ")
			if !found || strings.Contains(example, "$(") || strings.Contains(example, " of before") {
				continue
			}
			tried++
			if lines := loadBoth(append([]string{example}, required()...)); len(lines) != 0 {
				t.Errorf("the example %s of %s: %q", example, variable, lines)
			}
		}
	}
	if tried < 30 {
		t.Errorf("only %d examples tried", tried)
	}
}

func TestLoad_DSNForms(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"postgres:///stats_db?host=/run/postgresql", "postgresql://u:p%40ss@h1:5432,h2:5433/stats_db?sslmode=verify-full",
		"postgres://[::1]:5432/stats_db", "host=h dbname=stats_db", "host = 'h' password = 'it\\'s, = \\\\' dbname='stats_db'",
		"service=pgam", "postgres://h?dbname=stats_db", "dbname=stats_db password=a'b",
	} {
		environ := append([]string{"PGAM_STATS_DSN=" + good}, required()...)
		if got, err := config.LoadTool(environ); err != nil || got.StatsDSN.Reveal() != good {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestLoadTool_StatsDSN(t *testing.T) {
	t.Parallel()
	got, err := config.LoadTool(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.NeedStatsDSN(); err == nil || !strings.HasPrefix(err.Error(), "PGAM_STATS_DSN: not set: for example PGAM_STATS_DSN=postgres://") {
		t.Errorf("without: %v", err)
	}
	got, err = config.LoadTool(required())
	if err != nil {
		t.Fatal(err)
	}
	if err := got.NeedStatsDSN(); err != nil {
		t.Errorf("with: %v", err)
	}
}

func TestLoad_SecretFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "pgam_token_key"), []byte(tokenKey+"\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	good, stats := write("good", tokenKey+"\r\n", 0o640), write("stats", dsn+"\n\n", 0o600)
	for name, environ := range map[string][]string{
		"files":       {"PGAM_STATS_DSN_FILE=" + stats, "PGAM_TOKEN_KEY_FILE=" + good},
		"credentials": {"PGAM_STATS_DSN_FILE=" + stats, "CREDENTIALS_DIRECTORY=" + credentials},
		// The Python name is the last resort.
		"file before Python": {"PGAM_STATS_DSN=" + dsn, "PGAM_TOKEN_KEY_FILE=" + good, "SECRET_KEY=other"},
	} {
		got, err := config.LoadAPI(environ)
		if err != nil || got.TokenKey.Reveal() != tokenKey || got.StatsDSN.Reveal() != dsn {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused := map[string]string{
		write("open", tokenKey, 0o604):                      "chmod o= ",
		write("empty", "\n", 0o600):                         "empty",
		write("two", tokenKey+"\ncanary", 0o600):            "more than one line",
		write("long", strings.Repeat("canary", 1e5), 0o600): "larger than",
		write("short", "canary", 0o600):                     "at least 32",
		folder:                                              "not a regular file",
		filepath.Join(folder, "none"):                       "no such file",
	}
	for path, want := range refused {
		_, err := config.LoadAPI([]string{"PGAM_STATS_DSN=" + dsn, "PGAM_TOKEN_KEY_FILE=" + path})
		if err == nil || !strings.HasPrefix(err.Error(), "PGAM_TOKEN_KEY_FILE: ") || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, twice := range [][]string{
		required("PGAM_TOKEN_KEY_FILE=" + good), required("CREDENTIALS_DIRECTORY=" + credentials),
		{"PGAM_STATS_DSN=" + dsn, "PGAM_TOKEN_KEY_FILE=" + good, "CREDENTIALS_DIRECTORY=" + credentials},
	} {
		if _, err := config.LoadAPI(twice); err == nil || !strings.Contains(err.Error(), "set in two places") {
			t.Errorf("%v: %v", twice[len(twice)-1], err)
		}
	}
}

func TestConfig_PrintsNoSecret(t *testing.T) {
	t.Parallel()
	got, err := config.LoadAPI(required("PGAM_TOKEN_KEY_PREVIOUS=" + strings.ToLower(tokenKey)))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%v %+v %#v %v", got, got, got, &got)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("configured", "config", got)
	slog.New(slog.NewTextHandler(&out, nil)).Info("configured", "config", got)
	for _, hidden := range []string{"canary", tokenKey, strings.ToLower(tokenKey)} {
		if strings.Contains(out.String(), hidden) {
			t.Errorf("%q printed", hidden)
		}
	}
}
