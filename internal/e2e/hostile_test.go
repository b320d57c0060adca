package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

// The memory that the daemons may take at most, whatever a server sends and
// however slowly a client reads.
const (
	collectorPeak = 128 << 20
	apiPeak       = 256 << 20
)

// soak skips a test that needs the machine to itself for minutes, unless make soak
// runs it.
func soak(t *testing.T) {
	t.Helper()
	if !slices.ContainsFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PGAM_SOAK=") }) {
		t.Skip("needs the machine to itself: make soak")
	}
}

// peak watches how much memory of its own a process takes, until the test ends;
// the function gives the most of it so far. Pages of files that it has mapped, as
// the journal's, do not count: the kernel takes them back when it needs them.
func (p *process) peak(t *testing.T) func() int64 {
	t.Helper()
	path := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skip("needs /proc to tell how much memory a process has")
	}
	var most atomic.Int64
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			status, _ := os.ReadFile(path) // it may have ended
			_, rest, _ := strings.Cut(string(status), "RssAnon:")
			if fields := strings.Fields(rest); len(fields) > 0 {
				kB, _ := strconv.ParseInt(fields[0], 10, 64)
				most.Store(max(most.Load(), kB<<10))
			}
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { close(ended); <-stopped })
	return most.Load
}

// hostile is a server that does what no PostgreSQL does.
type hostile struct {
	rogue *faultnet.Listener
	// reason is what the collector says of it, None where it cannot be told from a
	// good one, and told what the API does.
	reason sample.Reason
	told   string
}

// greeted is a rogue that admits everybody and goes on with script.
func greeted(t *testing.T, script func(c *faultnet.Conn)) *faultnet.Listener {
	t.Helper()
	return faultnet.Listen(t, func(c *faultnet.Conn) {
		if c.Startup() == nil && c.Ask(0) == nil {
			script(c)
		}
	})
}

// flooding is a rogue that answers one question with rows without end.
func flooding(t *testing.T, server *pgtest.Server, question string) *faultnet.Listener {
	t.Helper()
	return faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(statement string, kind byte, body []byte, to io.Writer) bool {
		if kind != 'D' || !strings.HasPrefix(statement, question) {
			return false
		}
		faultnet.Pour(to, kind, body)
		return true
	}).Listener
}

// hostiles are one of each kind. Those that answer some questions well stand
// before a real server.
func hostiles(t *testing.T, server *pgtest.Server) map[string]hostile {
	t.Helper()
	const tooMuch, fine = "sends more than is read", "ok"
	return map[string]hostile{
		"parameters": {greeted(t, func(c *faultnet.Conn) {
			for i := 0; c.Send('S', fmt.Appendf(nil, "p%d\x00%s\x00", i, strings.Repeat("v", 4000))) == nil; i++ {
			}
		}), sample.Oversized, tooMuch},
		"notices": {greeted(t, func(c *faultnet.Conn) { faultnet.Pour(c, 'N', []byte("SNOTICE\x00MWhat?\x00\x00")) }), sample.Oversized, tooMuch},
		"length":  {greeted(t, func(c *faultnet.Conn) { _, _ = c.Write([]byte{'D', 0x7f, 0xff, 0xff, 0xff}) }), sample.Oversized, tooMuch},
		"rounds": {faultnet.Listen(t, func(c *faultnet.Conn) {
			if c.Startup() == nil {
				_ = c.AskSCRAM(10_000_000)
			}
		}), sample.AuthFailed, "rounds of SCRAM"},
		"silent": {faultnet.Listen(t, nil), sample.Timeout, "timeout"},
		"slow": {greeted(t, func(c *faultnet.Conn) {
			for _, b := range bytes.Repeat(faultnet.Message('S', []byte("a\x00b\x00")), 1000) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}), sample.Timeout, "timeout"},
		"garbage": {faultnet.Listen(t, func(c *faultnet.Conn) {
			if c.Startup() == nil {
				_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
			}
		}), sample.Oversized, tooMuch},
		"activity":  {flooding(t, server, "pgam_activity"), sample.Oversized, fine},
		"databases": {flooding(t, server, "pgam_databases"), sample.Oversized, fine},
		"inventory": {flooding(t, server, "pgam_inventory"), sample.Oversized, fine},
		// Asked seldom, and where there is time left.
		"settings": {flooding(t, server, "pgam_settings"), sample.None, fine},
		"live":     {flooding(t, server, "stmtcache"), sample.None, tooMuch},
		"crowd":    {crowding(t, server), sample.None, fine},
		"throng":   {crowding(t, server), sample.None, fine},
	}
}

// crowding is a rogue whose answers are within all bounds, and as long as those
// let them be: other sessions with other statements every time.
func crowding(t *testing.T, server *pgtest.Server) *faultnet.Listener {
	t.Helper()
	var mu sync.Mutex
	n := 0
	full := make(map[io.Writer]bool) // connections whose answer has its crowd
	return faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(statement string, kind byte, body []byte, to io.Writer) bool {
		mu.Lock()
		defer mu.Unlock()
		if kind != 'D' {
			delete(full, to)
			return false
		}
		// The columns of activity questions, the collector's and the API's.
		columns := faultnet.Columns(body)
		var pid, application, query, rows, text int
		switch {
		case len(columns) != 17:
			return false
		case strings.HasPrefix(statement, "pgam_activity"):
			pid, application, query, rows, text = 0, 7, 16, 4999, 4000
		case strings.HasPrefix(statement, "stmtcache"):
			pid, application, query, rows, text = 0, 4, 11, 9000, 1500
		default:
			return false
		}
		if full[to] {
			return true
		}
		full[to] = true
		filler := strings.Repeat("x", text)
		for range rows {
			n++
			columns[pid] = []byte{0x10 | byte(n>>24), byte(n >> 16), byte(n >> 8), byte(n)}
			columns[application] = fmt.Appendf(nil, "application %d", n)
			columns[query] = fmt.Appendf(nil, "select a%d, %s", n, filler)
			if _, err := to.Write(faultnet.Message(kind, faultnet.Row(columns))); err != nil {
				return true
			}
		}
		return true
	}).Listener
}

// watchedAs is a server as the daemons are to watch it.
func watchedAs(name, host string, port int) target.Target {
	tg := target.Target{Name: name, Enabled: true, Endpoint: target.Endpoint{
		Host: host, Port: port, User: pgtest.User, Password: secret.New(pgtest.Password), TLS: target.TLSDisable,
	}}
	tg.Defaults()
	return tg
}

// tally counts answers by what was asked and the status.
type tally struct {
	mu     sync.Mutex
	counts map[string]map[int]int
}

func (c *tally) add(path string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[path] == nil {
		c.counts[path] = make(map[int]int)
	}
	c.counts[path][status]++
}

// check looks for answers that are none of what a server may have brought about.
func (c *tally) check(t *testing.T) {
	t.Helper()
	for path, counts := range c.counts {
		for status, n := range counts {
			switch status {
			case http.StatusOK, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			default:
				t.Errorf("GET %s was answered %d times with %d", path, n, status)
			}
		}
	}
}

// hostileFor is how long the daemons are looked at.
const hostileFor = 40 * time.Second

// TestHostileTargets: servers that send without end, hang or talk nonsense cost
// the daemons no more memory than they may have, are told as what they are, and
// do not disturb the watching of others.
func TestHostileTargets(t *testing.T) {
	soak(t)
	healthy := []*pgtest.Server{pgtest.Target(t), pgtest.Target(t)}
	behind := pgtest.Target(t) // the rogues
	holdOpen(t, behind)
	rogues := hostiles(t, behind)
	s := &site{t: t, dir: t.TempDir(), dsn: pgtest.EmptyDB(t), seen: &record{statuses: map[string]map[int]int{}}}
	s.prepare(t)

	targets := make([]target.Target, 0, len(healthy)+len(rogues))
	for i, server := range healthy {
		targets = append(targets, watchedAs(fmt.Sprintf("healthy%d", i), server.Host(), server.Port()))
	}
	for name, h := range rogues {
		targets = append(targets, watchedAs(name, h.rogue.Host(), h.rogue.Port()))
	}
	for _, tg := range targets {
		if _, err := s.catalog.CreateServer(t.Context(), tg); err != nil {
			t.Fatal(err)
		}
	}
	collector := startProcess(t, t, "pgam-collector", append([]string{
		"PGAM_DATA_DIR=" + filepath.Join(s.dir, "journal"), "PGAM_HEALTH_LISTEN=127.0.0.1:0",
		"PGAM_DATABASES_INTERVAL=2s", "PGAM_INVENTORY_INTERVAL=2s",
	}, s.settings...)...)
	api := startProcess(t, t, "pgam-api", append([]string{"PGAM_LISTEN=127.0.0.1:0", "SECRET_KEY=" + tokenKey}, s.settings...)...)
	collectorTook, apiTook := collector.peak(t), api.peak(t)
	begun := time.Now()
	c := &client{url: api.url()}
	c = c.as(c.login(t, "viewer", userPassword))
	statuses := &tally{counts: make(map[string]map[int]int)}
	var asking sync.WaitGroup
	for _, tg := range targets {
		asking.Go(func() {
			for time.Since(begun) < hostileFor && t.Context().Err() == nil {
				for _, path := range []string{"/servers", "/api/v1/servers/" + tg.Name + "/activity?all=true", "/api/v1/servers/" + tg.Name + "/locks"} {
					got, err := c.try(c.request(t, http.MethodGet, path, "", ""))
					if err != nil {
						t.Errorf("GET %s: %v", path, err)
						return
					}
					statuses.add(path, got.Status)
				}
			}
		})
	}
	asking.Wait()
	statuses.check(t)
	for _, p := range []*process{collector, api} {
		about := &client{url: p.url()}
		about.get(t, "/healthz").want(t, http.StatusOK)
		// A busy machine may write late for a moment.
		pgtest.WaitFor(t, func() bool { return about.get(t, "/readyz").Status == http.StatusOK }, "readyz")
	}
	rows := c.get(t, "/servers").want(t, http.StatusOK).rows(t)
	for name, h := range rogues {
		if status, _ := rows[name]["status"].(string); !strings.Contains(status, h.told) {
			t.Errorf("the status of %s is %q, want %q in it", name, status, h.told)
		}
	}
	peaks := map[string]int64{"collector": collectorTook(), "API": apiTook()}
	t.Logf("most memory: collector %d MiB, API %d MiB", peaks["collector"]>>20, peaks["API"]>>20)
	for name, most := range map[string]int64{"collector": collectorPeak, "API": apiPeak} {
		if peaks[name] > most {
			t.Errorf("the %s took %d MiB, want at most %d", name, peaks[name]>>20, most>>20)
		}
	}
	api.stop(t)
	collector.stop(t)
	for i := range healthy {
		checkUndisturbed(t, s.dsn, fmt.Sprintf("healthy%d", i))
	}
	for name, h := range rogues {
		reasons := reasonsOf(t, s.dsn, name)
		t.Logf("%s: %v", name, reasons)
		// On a busy machine the deadline of a visit may pass before its bounds.
		if h.reason != sample.None && reasons[h.reason.String()]+reasons[sample.Timeout.String()] == 0 {
			t.Errorf("of %s the history says %v, want %s", name, reasons, h.reason)
		}
	}
}

// reasonsOf counts a server's ticks by their reason.
func reasonsOf(t *testing.T, dsn, name string) map[string]int {
	t.Helper()
	type one struct {
		Reason string
		Ticks  int
	}
	list, err := pgx.CollectRows(query(t, dsn, "select coalesce(reason, 'none'), count(*) from report.tick where server = '"+name+"' group by 1"),
		pgx.RowToStructByPos[one])
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, r := range list {
		counts[r.Reason] = r.Ticks
	}
	return counts
}

// checkUndisturbed looks for a tick of every second, and for what a busy machine
// does not explain.
func checkUndisturbed(t *testing.T, dsn, name string) {
	t.Helper()
	reasons := reasonsOf(t, dsn, name)
	t.Logf("%s: %v", name, reasons)
	if reasons["none"] == 0 {
		t.Errorf("%s was never answered: %v", name, reasons)
	}
	for reason := range reasons {
		switch reason {
		case "none", sample.Connecting.String(), sample.Timeout.String(), sample.ConnectionLost.String(),
			sample.Late.String(), sample.Overrun.String(), sample.NotRunning.String():
		default:
			t.Errorf("%s: %d ticks are %s", name, reasons[reason], reason)
		}
	}
	ticks, err := pgx.CollectRows(query(t, dsn, "select time from report.tick where server = '"+name+"' order by time"), pgx.RowTo[time.Time])
	if err != nil {
		t.Fatal(err)
	}
	// The n-th tick is that of the n-th second, begun at its instant or later. So if
	// none is lost and none doubled, those that were not late are as far from their
	// second in the first half as in the second.
	early := [2]time.Duration{time.Hour, time.Hour}
	for i, at := range ticks {
		half := &early[2*i/len(ticks)]
		*half = min(*half, at.Sub(ticks[0])-time.Duration(i)*time.Second)
	}
	if (early[0] - early[1]).Abs() > time.Second/2 {
		t.Errorf("%s: %d ticks between %s and %s are not one a second", name, len(ticks), ticks[0], ticks[len(ticks)-1])
	}
}

// slowReaders is how many clients read at once.
const slowReaders = 200

// TestSlowReaders: clients that ask for large answers and hardly read them cost
// the API no more memory than it may have: some are told to come again, and
// those who ask for something else are answered meanwhile.
func TestSlowReaders(t *testing.T) {
	soak(t)
	s := &site{t: t, dir: t.TempDir(), dsn: pgtest.EmptyDB(t), seen: &record{statuses: map[string]map[int]int{}}}
	s.prepare(t)
	until := time.Now().UTC().Truncate(24 * time.Hour)
	ring, err := secret.ReadKeyring(filepath.Join(s.dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(s.dsn), MaxConns: 4})
	made := synth.Config{Seed: 1, Hash: sample.NewHash(ring.ContentKey()), Cadence: 5 * time.Second, Sessions: 20, Queries: 400}
	if err := synth.Fill(t.Context(), db, catalog.New(db, ring), made, 1, 1, until, nil); err != nil {
		t.Fatal(err)
	}
	name := pgtest.Value[string](t, s.dsn, "select name from pgam.server")
	api := startProcess(t, t, "pgam-api", append([]string{"PGAM_LISTEN=127.0.0.1:0", "SECRET_KEY=" + tokenKey}, s.settings...)...)
	apiTook := api.peak(t)
	c := &client{url: api.url()}
	c = c.as(c.login(t, "viewer", userPassword))
	path := fmt.Sprintf("/api/v1/servers/%s/history/activity?group_by=query&step=5s&limit=100&from=%s&to=%s", name,
		until.Add(-12*time.Hour).Format(time.RFC3339), until.Add(-6*time.Hour).Format(time.RFC3339))
	whole := c.get(t, path).want(t, http.StatusOK)
	t.Logf("an answer has %d bytes", len(whole.Body))
	if len(whole.Body) < 900_000 {
		t.Fatalf("an answer of %d bytes is no large one", len(whole.Body))
	}

	heads := make(chan *head)
	for range slowReaders {
		go func() { heads <- readSlowly(t, c, path) }()
	}
	statuses, others := map[int]int{}, 0
	for n := 0; n < slowReaders; {
		select {
		case got := <-heads:
			n++
			if got == nil {
				statuses[0]++
				continue
			}
			statuses[got.status]++
			if got.status == http.StatusServiceUnavailable && got.again == "" {
				t.Error("who is told to come again is not told when")
			}
		default:
			for _, path := range []string{"/healthz", "/api/v1/servers", "/api/v1/fleet"} {
				c.get(t, path).want(t, http.StatusOK)
			}
			others++
		}
	}
	t.Logf("%v; %d rounds of other requests; peak %d MiB", statuses, others, apiTook()>>20)
	// Where the machine is slow stats_db may not answer all in time.
	if answered := statuses[http.StatusOK] + statuses[http.StatusServiceUnavailable] + statuses[http.StatusGatewayTimeout]; answered != slowReaders {
		t.Errorf("%d of %d readers were told something", answered, slowReaders)
	}
	if statuses[http.StatusOK] == 0 {
		t.Error("nobody was answered")
	}
	if n := apiTook(); n > apiPeak {
		t.Errorf("the API took %d MiB", n>>20)
	}
	pgtest.WaitFor(t, func() bool {
		got, err := c.try(c.request(t, http.MethodGet, path, "", ""))
		return err == nil && got.Status == http.StatusOK && bytes.Equal(got.Body, whole.Body)
	}, "room for who reads, once those are gone who do not")
	api.stop(t)
}

// head is what is known of an answer before its body.
type head struct {
	status int
	again  string // Retry-After
}

// readSlowly asks for an answer, gives its head as soon as it is there, nil for
// none, and reads hardly more of it until the test ends or the server has enough.
func readSlowly(t *testing.T, c *client, path string) *head {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var fault error
		// The kernel must not take the answer for us.
		err := raw.Control(func(fd uintptr) { fault = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		return errors.Join(err, fault)
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		return nil
	}
	context.AfterFunc(t.Context(), func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\n\r\n", path, c.token); err != nil {
		return nil
	}
	lines := bufio.NewReaderSize(conn, 16)
	response, err := http.ReadResponse(lines, nil) //nolint:bodyclose // Closing would read all of it; the connection ends with the test.
	if err != nil {
		return nil
	}
	got := &head{response.StatusCode, response.Header.Get("Retry-After")}
	go func() {
		for {
			if _, err := lines.ReadByte(); err != nil {
				return
			}
			<-time.After(time.Second)
		}
	}()
	return got
}
