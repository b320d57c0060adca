package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
)

// beProgram makes the test binary the program itself.
const beProgram = "BE_PGAM_API"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" { //nolint:forbidigo // the test's own
		main()
		return
	}
	pgtest.Main(m)
}

// command prepares the program with only these settings in its environment.
func command(t *testing.T, args []string, settings ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append([]string{beProgram + "=1"}, settings...)
	return cmd
}

func settingsFor(t *testing.T, dsn, listen string) []string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "keyring.json")
	if err := secret.WriteKeyring(key); err != nil {
		t.Fatal(err)
	}
	return []string{
		"PGAM_STATS_DSN=" + dsn, "PGAM_KEY_FILE=" + key, "PGAM_LISTEN=" + listen, "PGAM_LOG_FORMAT=json",
		"PGAM_TOKEN_KEY=q3vN0kz1-long-enough-and-quite-random-7Yb2",
	}
}

func TestServesAndStops(t *testing.T) {
	t.Parallel()
	settings := append(settingsFor(t, pgtest.StatsDB(t), "127.0.0.1:0"), pgtest.LibpqEnvironment(t)...)
	cmd := command(t, nil, append(settings, "PGSERVICE=nosuch")...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	logged := make(chan string, 1)
	go func() {
		var all strings.Builder
		ready := regexp.MustCompile(`"msg":"ready".*"address":"([^"]+)"`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
		logged <- all.String()
	}()
	url, ok := <-address
	if !ok {
		t.Fatalf("it did not become ready:\n%s", <-logged)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/api/health": 200, "/openapi.json": 200, "/metrics": 200, "/servers": 401} {
		if status, body := fetch(t, "http://"+url+path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := fetch(t, "http://"+url+"/metrics"); !strings.Contains(body, `pgxpool_max_conns{pool="stats_db"} 10`) || !strings.Contains(body, "pgam_build_info") {
		t.Errorf("metrics:\n%s", body)
	}
	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := <-logged
	if err := cmd.Wait(); err != nil || time.Since(begun) > 5*time.Second {
		t.Errorf("stopped after %s with %v:\n%s", time.Since(begun), err, log)
	}
	if !regexp.MustCompile(`"level":"WARN".*"variables":\[.*"PGPASSFILE".*"PGSERVICE".*"PGSSLROOTCERT"`).MatchString(log) {
		t.Errorf("what is set and not read is not named:\n%s", log)
	}
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// Whatever keeps it from starting is said in a line that says what to do.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	taken := faultnet.Listen(t, nil)
	good := pgtest.StatsDB(t)
	old := pgtest.StatsDB(t)
	pgtest.Exec(t, old, "update public.pgam_schema_version set version = version - 1")
	newer := pgtest.StatsDB(t)
	pgtest.Exec(t, newer, "update public.pgam_schema_version set version = version + 1")
	with := func(dsn string, more ...string) []string { return append(settingsFor(t, dsn, "127.0.0.1:0"), more...) }
	tests := []struct {
		name     string
		settings []string
		code     int
		says     string
	}{
		{"no settings", nil, 2, "PGAM_STATS_DSN: not set"},
		{"a typo", with(good, "PGAM_LISTEM=x"), 2, "PGAM_LISTEM"},
		{"no keyring", with(good, "PGAM_KEY_FILE=/nonexistent/keyring.json"), 2, "pgam key generate"},
		{"weak token key", with(good, "PGAM_TOKEN_KEY=secret"), 2, "PGAM_TOKEN_KEY"},
		{"port taken", settingsFor(t, good, taken.Address()), 1, "PGAM_LISTEN"},
		{"empty database", with(pgtest.EmptyDB(t)), 2, "run pgam migrate"},
		{"older schema", with(old), 2, "run pgam migrate"},
		{"newer schema", with(newer), 2, "install the newer pgam"},
		{"no stats_db", with("postgres://x@127.0.0.1:1/stats_db"), 1, "check PGAM_STATS_DSN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, nil, tt.settings...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			if code := cmd.ProcessState.ExitCode(); err == nil || code != tt.code || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit code %d (%v), want %d and %q:\n%s", code, err, tt.code, tt.says, &stderr)
			}
			if strings.Contains(stderr.String(), "random-7Yb2") {
				t.Error("the token key was printed")
			}
		})
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"--version": "pgam-api ", "--help": "PGAM_LISTEN (default 127.0.0.1:8000)"} {
		out, err := command(t, []string{arg}).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", arg, err, out)
		}
	}
	cmd := command(t, []string{"serve"})
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "unexpected argument serve") {
		t.Errorf("an argument: %s", out)
	}
}
