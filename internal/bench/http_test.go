package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

const (
	benchLogin    = "bench"
	benchPassword = "a password of the benchmark"
	connections   = 8
	warming       = time.Second
	driving       = 4 * time.Second
)

// served is pgam-api as a process, with three servers and a long history.
type served struct {
	running

	token string
}

// startAPI builds the program and starts it over a stats_db with three
// servers; their history is filled by fill.
func startAPI(b *testing.B, fill func(dsn string)) *served {
	b.Helper()
	dir := b.TempDir()
	dsn := pgtest.StatsDB(b)
	server := pgtest.Target(b, pgtest.WithTrust())
	sessions(b, server, 20)
	register(b, dsn, dir, server, 3)
	addAccount(b, dsn, dir)
	if fill != nil {
		fill(dsn)
	}
	return serve(b, dsn, dir)
}

// buildProgram builds a command of ours and gives its path.
func buildProgram(tb testing.TB, command string) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "pgam-"+command)
	build := exec.Command("go", "build", "-trimpath", "-tags", "nomsgpack", "-ldflags", "-s -w", "-o", program, "../../cmd/"+command)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// serve starts pgam-api over a stats_db that has the account, with the keyring
// in a folder.
func serve(b *testing.B, dsn, dir string) *served {
	b.Helper()
	program := buildProgram(b, "api")
	// The log goes to a file, as it would to a journal: its lines are part of
	// what a request costs.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	s := &served{running: running{cmd: exec.Command(program)}}
	s.cmd.Env = []string{
		"PGAM_STATS_DSN=" + dsn, "PGAM_KEY_FILE=" + filepath.Join(dir, "keyring.json"), "PGAM_LISTEN=127.0.0.1:0",
		"PGAM_LOG_FORMAT=json", "PGAM_TOKEN_KEY=q3vN0kz1-long-enough-and-quite-random-7Yb2", "PGAM_LOGIN_RATE=1000000",
	}
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.stop(b) })
	ready := regexp.MustCompile(`"msg":"ready".*"address":"([^"]+)"`)
	pgtest.WaitFor(b, func() bool {
		text, err := os.ReadFile(log.Name())
		if m := ready.FindSubmatch(text); err == nil && m != nil {
			s.addr = string(m[1])
		}
		return s.addr != ""
	}, "the API")
	s.token = s.login(b)
	return s
}

// sessions opens idle sessions with statements of usual length.
func sessions(tb testing.TB, server *pgtest.Server, n int) {
	tb.Helper()
	for i := range n {
		conn, err := pgconn.Connect(tb.Context(), server.SuperuserDSN())
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = conn.Close(context.Background()) })
		sql := fmt.Sprintf("select oid, relname, relkind from pg_class where relname like 'orders%%' and relpages > %d order by relname limit 50", i)
		if _, err := conn.Exec(tb.Context(), sql).ReadAll(); err != nil {
			tb.Fatal(err)
		}
	}
}

func addAccount(tb testing.TB, dsn, dir string) {
	tb.Helper()
	ring, err := secret.ReadKeyring(filepath.Join(dir, "keyring.json"))
	if err != nil {
		tb.Fatal(err)
	}
	db := pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)})
	defer db.Close()
	stored := catalog.New(db, ring)
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	hash, err := hasher.Hash(tb.Context(), benchPassword)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := stored.CreateAccount(tb.Context(), account.User{Login: benchLogin, PasswordHash: hash, Role: account.Viewer, Active: true}); err != nil {
		tb.Fatal(err)
	}
}

func loginRequest() []byte {
	form := url.Values{"username": {benchLogin}, "password": {benchPassword}}.Encode()
	return requestOf(http.MethodPost, "/token", "", form, "Content-Type: application/x-www-form-urlencoded")
}

func (s *served) login(tb testing.TB) string {
	tb.Helper()
	var body bytes.Buffer
	if status, _, err := newCaller(tb, s.addr, loginRequest()).call(&body); err != nil || status != http.StatusOK {
		tb.Fatalf("log in: %d %v", status, err)
	}
	var said struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body.Bytes(), &said); err != nil {
		tb.Fatal(err)
	}
	return said.Token
}

// question is one that the benchmark asks.
type question struct {
	name    string
	paths   []string // asked in turns
	atLeast int      // bytes of an answer that holds what it should
}

// apart is how many ranges there are to ask for in turns, where no answer
// shall be one that was given before.
const apart = 24

func questions(now time.Time) []question {
	// Each range begins an hour before the one before.
	since := func(path string, days, ranges int) (paths []string) {
		for i := range ranges {
			from := now.AddDate(0, 0, -days).Add(-time.Duration(i) * time.Hour)
			paths = append(paths, path+"?"+url.Values{"start_date": {from.Format(time.RFC3339)}, "end_date": {now.Format(time.RFC3339)}}.Encode())
		}
		return paths
	}
	return []question{
		{"servers", []string{"/servers"}, 900},
		{"server_stats", []string{"/server_stats/bench1"}, 100},
		{"stats/7d×20", since("/server/bench1/stats", 7, 1), 7 * 24 * 20 * 80},
		{"stats/90d×20", since("/server/bench1/stats", 90, 1), 90 * 6 * 20 * 80},
		{"stats/1y×50", since("/server/bench2/stats", 365, 1), 365 * 50 * 80},
		{"db/1y", since("/server/bench2/db/db_00/stats", 365, 1), 365 * 80},
		{"stats/7d×20/apart", since("/server/bench1/stats", 7, apart), 7 * 24 * 20 * 80},
		{"stats/89d×20/apart", since("/server/bench1/stats", 89, apart), 89 * 6 * 20 * 80},
		{"stats/1y×50/apart", since("/server/bench2/stats", 365, apart), 365 * 50 * 80},
		{"db/1y/apart", since("/server/bench2/db/db_00/stats", 365, apart), 365 * 80},
	}
}

func (q question) requests(token string, headers ...string) (list [][]byte) {
	for _, path := range q.paths {
		list = append(list, requestOf(http.MethodGet, path, token, "", headers...))
	}
	return list
}

// BenchmarkAPI asks the real program over a real stats_db, on eight
// connections. The API keeps answers about the past until something new is
// stored; those asked apart are of more ranges than it keeps. of-floor is its part of what a handler that writes the same
// bytes and does nothing else gives in the same run.
func BenchmarkAPI(b *testing.B) {
	now := time.Now().UTC().Truncate(time.Second)
	s := startAPI(b, func(dsn string) {
		fillDatabases(b, dsn, filling{Server: 1, Databases: 20, Days: 90, RawDays: 2, End: now})
		fillDatabases(b, dsn, filling{Server: 2, Databases: 50, Days: 366, RawDays: 1, End: now})
	})
	for _, q := range questions(now) {
		b.Run(q.name, func(b *testing.B) {
			requests := q.requests(s.token)
			var body bytes.Buffer
			if status, _, err := newCaller(b, s.addr, requests[0]).call(&body); err != nil || status != http.StatusOK || body.Len() < q.atLeast {
				b.Fatalf("status %d, %d bytes, %v: %.200s", status, body.Len(), err, &body)
			}
			floor := startFloor(b, body.Bytes())
			for b.Loop() {
				drive(b, s.addr, requests, connections, http.StatusOK, warming)
				before, cpu := s.metric(b, "go_memstats_mallocs_total"), s.cpu(b)
				got := drive(b, s.addr, requests, connections, http.StatusOK, driving)
				cpu, mallocs := s.cpu(b)-cpu, s.metric(b, "go_memstats_mallocs_total")-before
				least := drive(b, floor, requests, connections, http.StatusOK, driving/2)
				got.report(b)
				b.ReportMetric(float64(cpu.Microseconds())/float64(got.requests), "cpu-us/op")
				b.ReportMetric(mallocs/float64(got.requests), "mallocs/op")
				b.ReportMetric(least.rps, "floor-rps")
				b.ReportMetric(got.rps/least.rps, "of-floor")
				b.ReportMetric(s.memory(b, "VmRSS:"), "rss-MB")
				b.ReportMetric(s.memory(b, "VmHWM:"), "peak-MB")
			}
		})
	}
	b.Run("stats/1y×50/gzip", func(b *testing.B) { s.asked(b, questions(now)[4], http.StatusOK, "Accept-Encoding: gzip") })
	b.Run("stats/1y×50/304", func(b *testing.B) { s.asked(b, questions(now)[4], http.StatusNotModified, "If-None-Match: *") })
	if peak := s.memory(b, "VmHWM:"); peak > mostMemory {
		b.Errorf("the API took %.0f MB, more than %d", peak, mostMemory)
	}
}

// mostMemory is what the API may take in all, in MB.
const mostMemory = 100

func (s *served) asked(b *testing.B, q question, status int, header string) {
	b.Helper()
	for b.Loop() {
		drive(b, s.addr, q.requests(s.token, header), connections, status, driving).report(b)
		b.ReportMetric(s.memory(b, "VmHWM:"), "peak-MB")
	}
}

// BenchmarkLogin lets fifty logins wait for each other, and asks for other
// things meanwhile.
func BenchmarkLogin(b *testing.B) {
	s := startAPI(b, nil)
	requests := [][]byte{requestOf(http.MethodGet, "/servers", s.token, "")}
	login := loginRequest()
	for b.Loop() {
		alone := drive(b, s.addr, requests, connections, http.StatusOK, driving/2)
		var (
			done    atomic.Bool
			logins  atomic.Int64
			busy    atomic.Int64
			waiting sync.WaitGroup
			slowest atomic.Int64
		)
		begin := time.Now()
		for range 50 {
			c := newCaller(b, s.addr, login)
			waiting.Go(func() {
				for !done.Load() {
					sent := time.Now()
					switch status, _, err := c.call(nil); {
					case err == nil && status == http.StatusOK:
						logins.Add(1)
					case err == nil && status == http.StatusServiceUnavailable:
						busy.Add(1) // it waited too long
					default:
						b.Errorf("log in: status %d, %v", status, err)
						return
					}
					slowest.Store(max(slowest.Load(), int64(time.Since(sent))))
				}
			})
		}
		got := drive(b, s.addr, requests, connections, http.StatusOK, 2*driving)
		elapsed := time.Since(begin)
		n := logins.Load()
		done.Store(true)
		waiting.Wait()
		got.report(b)
		b.ReportMetric(alone.rps, "alone-rps")
		b.ReportMetric(float64(alone.p99.Microseconds())/1e3, "alone-p99-ms")
		b.ReportMetric(float64(n)/elapsed.Seconds(), "logins/s")
		b.ReportMetric(float64(busy.Load()), "told-to-wait")
		b.ReportMetric(time.Duration(slowest.Load()).Seconds(), "slowest-login-s")
		b.ReportMetric(s.memory(b, "VmHWM:"), "peak-MB")
	}
}

// floorBody names the file that the test binary, called again, serves.
const floorBody = "PGAM_BENCH_FLOOR"

// startFloor starts a process of its own that answers everything with these
// bytes, and gives its address.
func startFloor(b *testing.B, body []byte) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), "body")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFloor$")
	cmd.Env = append(os.Environ(), floorBody+"="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return line[:len(line)-1]
}

// TestFloor is the process of startFloor; otherwise it does nothing.
func TestFloor(t *testing.T) {
	file := os.Getenv(floorBody) //nolint:forbidigo // the test's own
	if file == "" {
		t.Skip("this is a part of BenchmarkAPI")
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	length := strconv.Itoa(len(body))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(listener.Addr())
	server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body)
	})}
	t.Fatal(server.Serve(listener))
}
