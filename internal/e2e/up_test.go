package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// everything is a running pgam up.
type everything struct {
	APIURL       string `json:"api_url"`
	CollectorURL string `json:"collector_url"`
	Login        string `json:"login"`
	Password     string `json:"password"`
	StatsDSN     string `json:"stats_dsn"`
	DataDir      string `json:"data_dir"`

	cmd   *exec.Cmd
	ended chan struct{}
	token string

	mu   sync.Mutex
	said bytes.Buffer
}

// Write takes what pgam says to people.
func (e *everything) Write(text []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	return e.said.Write(text)
}

func (e *everything) remarks() string {
	e.mu.Lock()
	defer e.mu.Unlock()

	return e.said.String()
}

// up starts everything on a data folder and returns when it answers. Windows
// are short, so that the test is.
func up(t *testing.T, dataDir string, args ...string) *everything {
	t.Helper()
	e := &everything{ended: make(chan struct{})}
	e.cmd = exec.Command(programs.path(t, "pgam"), append([]string{"up", "--data", dataDir, "--listen", "127.0.0.1:0", "--json"}, args...)...)
	e.cmd.Env = append(append(plainEnvironment(t), pgtest.LibpqEnvironment(t)...), "PGSERVICE=nosuch", "PGAM_DATABASES_INTERVAL=2s")
	e.cmd.Stderr = e
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make(chan []byte, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadBytes('\n') // An end without a line is an end.
		line <- text
		_, _ = io.Copy(io.Discard, stdout)
		_ = e.cmd.Wait() // ProcessState tells how.
		close(e.ended)
	}()
	t.Cleanup(func() { e.end(t) })
	select {
	case text := <-line:
		if err := json.Unmarshal(text, e); err != nil {
			t.Fatalf("pgam up did not come up: %q: it said:\n%s", text, e.remarks())
		}
	case <-time.After(pgtest.Patience):
		t.Fatalf("pgam up is not up after %s: it said:\n%s", pgtest.Patience, e.remarks())
	}

	return e
}

// end leaves nothing running, however the test went.
func (e *everything) end(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.Logf("pgam up said:\n%s", e.remarks())
		for _, name := range []string{"collector.log", "api.log", "postgresql.log"} {
			if content, err := os.ReadFile(filepath.Join(e.DataDir, "log", name)); err == nil {
				t.Logf("end of %s:\n%s", name, content[max(0, len(content)-1024):])
			}
		}
	}
	select {
	case <-e.ended:
		return
	default:
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.ended:
	case <-time.After(time.Minute):
		e.kill(t)
	}
}

// stop asks everything to end, as systemd or a Ctrl-C does.
func (e *everything) stop(t *testing.T) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-e.ended:
	case <-time.After(pgtest.Patience):
		t.Fatalf("pgam up does not stop; it said:\n%s", e.remarks())
	}
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("pgam up ended with %d after SIGTERM, want 0; it said:\n%s", code, e.remarks())
	}
	e.expectNothingLeft(t)
}

// expectNothingLeft looks for processes that outlived pgam up.
func (e *everything) expectNothingLeft(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(e.DataDir, "postgres", "postmaster.pid")); err == nil {
		t.Error("PostgreSQL has not stopped")
	}
	if conn, err := http.Get(e.APIURL + "/healthz"); err == nil {
		_ = conn.Body.Close()
		t.Error("the API still answers")
	}
}

// kill ends all processes at once, those of PostgreSQL too, as a power cut does.
func (e *everything) kill(t *testing.T) {
	t.Helper()
	parents := parents(t)
	all := []int{e.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	if len(all) < 8 {
		t.Errorf("only %d processes found to kill", len(all))
	}
	for _, pid := range all {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	<-e.ended
}

// parents returns the children of every process.
func parents(t *testing.T) map[int][]int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("needs /proc to find processes")
	}
	children := map[int][]int{}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // The process has ended.
		}
		// pid (name) state parent …; the name may hold anything.
		end := bytes.LastIndexByte(content, ')')
		fields := strings.Fields(string(content[end+1:]))
		pid, errPid := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, errParent := strconv.Atoi(fields[1])
		if err := errors.Join(errPid, errParent); err != nil {
			t.Fatal(err)
		}
		children[parent] = append(children[parent], pid)
	}

	return children
}

// login gets a token.
func (e *everything) login(t *testing.T, password string) {
	t.Helper()
	response, err := http.PostForm(e.APIURL+"/token", url.Values{"username": {e.Login}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
	}
	if err := json.Unmarshal(body, &token); err != nil || response.StatusCode != http.StatusOK || token.TokenType != "bearer" {
		t.Fatalf("POST /token: %s: %s", response.Status, body)
	}
	e.token = token.AccessToken
}

// call sends a request and returns the answer, which must have this status.
func (e *everything) call(t *testing.T, want int, method, path string, body any) []byte {
	t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, e.APIURL+path, content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+e.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d: %s", method, path, response.Status, want, answer)
	}

	return answer
}

// get reads an answer.
func get[T any](t *testing.T, e *everything, format string, args ...any) T {
	t.Helper()
	path := fmt.Sprintf(format, args...)
	var answer T
	if text := e.call(t, http.StatusOK, http.MethodGet, path, nil); json.Unmarshal(text, &answer) != nil {
		t.Fatalf("GET %s: not the JSON that is expected: %s", path, text)
	}

	return answer
}
