package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// beProgram makes the test binary the program itself.
const beProgram = "BE_PGAM_COLLECTOR"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" { //nolint:forbidigo // the test's own
		main()
		return
	}
	pgtest.Main(m)
}

// installation is a stats_db with a keyring, and a folder for the collector.
type installation struct {
	dsn, key, data string
	db             *statsdb.DB
	catalog        *catalog.Catalog
}

func install(t *testing.T) *installation {
	t.Helper()
	in := &installation{dsn: pgtest.StatsDB(t), key: filepath.Join(t.TempDir(), "keyring.json"), data: t.TempDir()}
	if err := secret.WriteKeyring(in.key); err != nil {
		t.Fatal(err)
	}
	ring, err := secret.ReadKeyring(in.key)
	if err != nil {
		t.Fatal(err)
	}
	in.db = pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(in.dsn)})
	in.catalog = catalog.New(in.db, ring)
	return in
}

// add registers a server.
func (in *installation) add(t *testing.T, tg target.Target) {
	t.Helper()
	tg.Enabled = true
	if _, err := in.catalog.CreateServer(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
}

// process is the collector under test.
type process struct {
	cmd    *exec.Cmd
	health string // URL
	logged chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

func (in *installation) start(t *testing.T, settings ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), self), logged: make(chan struct{})}
	p.cmd.Env = append(append(pgtest.LibpqEnvironment(t), "PGSERVICE=nosuch",
		beProgram+"=1", "PGAM_STATS_DSN="+in.dsn, "PGAM_KEY_FILE="+in.key, "PGAM_DATA_DIR="+in.data,
		"PGAM_HEALTH_LISTEN=127.0.0.1:0", "PGAM_LOG_FORMAT=json", "PGAM_LOG_LEVEL=debug",
	), settings...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the collector:\n%s", p.said())
		}
	})
	address := make(chan string, 1)
	go func() {
		defer close(p.logged)
		defer close(address)
		ready := regexp.MustCompile(`"msg":"ready".*"health":"([^"]+)"`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	addr, ok := <-address
	if !ok {
		t.Fatalf("it did not become ready:\n%s", p.said())
	}
	p.health = "http://" + addr
	return p
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop asks the program to end, which it does within its five seconds.
func (p *process) stop(t *testing.T) {
	t.Helper()
	begun := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.logged
	if err := p.cmd.Wait(); err != nil || time.Since(begun) > 6*time.Second {
		t.Errorf("stopped after %s with %v:\n%s", time.Since(begun), err, p.said())
	}
}

// get asks the collector's own listener.
func (p *process) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.health+path, http.NoBody)
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

// metric gives a sample of /metrics, -1 for none.
func (p *process) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, data := p.get(t, "/metrics")
	for line := range strings.Lines(data) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return -1
}

// TestStandsBy has a second collector for one stats_db: to systemd it has started
// and is alive, long before it takes over.
func TestStandsBy(t *testing.T) {
	t.Parallel()
	in := install(t)
	first := in.start(t)
	dir, err := os.MkdirTemp("", "pgam-") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = systemd.Close() })
	told := func(want string) {
		t.Helper()
		for data := make([]byte, 4096); ; {
			if err := systemd.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := systemd.Read(data)
			if err != nil {
				t.Fatalf("systemd was not told %s: %v", want, err)
			}
			if string(data[:n]) == want {
				return
			}
		}
	}
	second := in.start(t, "PGAM_DATA_DIR="+t.TempDir(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=900000")
	told("READY=1")
	told("WATCHDOG=1")
	if !strings.Contains(second.said(), "standing by") || first.metric(t, "pgam_lease_held") != 1 {
		t.Errorf("the second does not stand by:\n%s", second.said())
	}
	first.stop(t)
	pgtest.WaitFor(t, func() bool { return second.metric(t, "pgam_lease_held") == 1 }, "the second to take over")
	told("WATCHDOG=1")
	second.stop(t)
}

// TestDisks has one PostgreSQL watched in four ways: its disks over SSH, through
// a tunnel, from here, and over an SSH host whose key nobody confirmed.
func TestDisks(t *testing.T) {
	t.Parallel()
	in, server, host := install(t), pgtest.Target(t), sshtest.Start(t)
	pair, err := remote.ParseKey(secret.New(host.ClientKeyPEM), secret.Value{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.catalog.CreateSSHKey(t.Context(), target.ManagedKey{
		Name: "watcher", Type: pair.Type, Bits: pair.Bits, PublicKey: pair.Public, Fingerprint: pair.Fingerprint, Private: pair.Private,
	}); err != nil {
		t.Fatal(err)
	}
	watched := target.Target{Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}}
	shell := host.Shell()
	shell.Key = target.ShellKey{Name: "watcher"}
	for name, change := range map[string]func(*target.Target){
		"ssh":      func(*target.Target) {},
		"tunnel":   func(t *target.Target) { t.Shell.Tunnel = true },
		"local":    func(t *target.Target) { t.Shell, t.DiskSource = target.Shell{}, target.DiskLocal },
		"stranger": func(t *target.Target) { t.Shell.HostKey = "" },
		"none":     func(t *target.Target) { t.DiskSource = target.DiskNone },
	} {
		one := watched
		one.Name, one.Shell = name, shell
		change(&one)
		in.add(t, one)
	}

	p := in.start(t, "PGAM_DISKS_INTERVAL=5s")
	// Whichever way it is looked at, it is the same file system.
	const seen = `
select coalesce(array_agg(s.name order by s.name), '{}')
  from pgam.server s
  join history.file_system f on f.server_id = s.id
 where f.uses @> '{data,wal}'
   and f.source = case s.name when 'local' then 'local' else 'ssh' end
   and exists (select
                 from history.disk_usage u
                where u.server_id = s.id
                  and u.mount_point = f.mount_point
                  and u.free_bytes between 1 and u.total_bytes)`
	pgtest.WaitFor(t, func() bool {
		return cmp.Equal([]string{"local", "ssh", "tunnel"}, pgtest.Value[[]string](t, in.dsn, seen))
	}, "disks of the servers")
	if n := pgtest.Value[int64](t, in.dsn, "select count(distinct (mount_point, total_bytes)) from history.disk_usage"); n != 1 {
		t.Errorf("%d file systems are seen where there is one", n)
	}
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int64](t, in.dsn, "select count(distinct server_id) from history.activity_recent where tick_outcome is null") == 5
	}, "slots of all servers, that behind the tunnel included")
	pgtest.WaitFor(t, func() bool {
		return p.metric(t, `pgam_disk_looks_total{outcome="ok"}`) >= 4 && p.metric(t, `pgam_disk_looks_total{outcome="failed"}`) >= 1
	}, "looks to be counted")
	id := pgtest.Value[int64](t, in.dsn, "select id from pgam.server where name = 'tunnel'")
	if err := in.catalog.DeleteServer(t.Context(), "tunnel", true); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	said := p.said()
	if n := strings.Count(said, `"msg":"disks cannot be seen"`); n != 1 || !strings.Contains(said, `"reason":"host_key_unknown"`) {
		t.Errorf("%d servers' disks cannot be seen:\n%s", n, said)
	}
	for _, leaked := range append(strings.Split(strings.TrimSpace(host.ClientKeyPEM), "\n")[1:2], pgtest.Password) {
		if strings.Contains(said, leaked) {
			t.Errorf("a secret was logged")
		}
	}

	// The next start goes on with the others, and removes what is to be gone.
	p = in.start(t, "PGAM_DISKS_INTERVAL=5s")
	began := time.Now()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int64](t, in.dsn, `
select (select count(*) from history.disk_usage where server_id = $1)
     + (select count(*) from history.file_system where server_id = $1)
     + (select count(*) from history.activity_recent where server_id = $1)`, id) == 0 &&
			pgtest.Value[int64](t, in.dsn, "select count(distinct server_id) from history.disk_usage where sampled_at > $1", began) == 2
	}, "the next run")
	p.stop(t)
}

// TestRefusesToStart: whatever keeps it from starting is said in a line that
// says what to do.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	in := install(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		settings []string
		code     int
		says     string
	}{
		"no settings":     {nil, 2, "PGAM_STATS_DSN: not set"},
		"no keyring":      {[]string{"PGAM_STATS_DSN=" + in.dsn, "PGAM_KEY_FILE=/nonexistent/keyring.json", "PGAM_DATA_DIR=" + in.data}, 2, "pgam key generate"},
		"no disks look":   {[]string{"PGAM_STATS_DSN=" + in.dsn, "PGAM_KEY_FILE=" + in.key, "PGAM_DATA_DIR=" + in.data, "PGAM_DISKS_INTERVAL=1s"}, 2, "PGAM_DISKS_INTERVAL"},
		"no known hosts":  {[]string{"PGAM_STATS_DSN=" + in.dsn, "PGAM_KEY_FILE=" + in.key, "PGAM_DATA_DIR=" + in.data, "PGAM_SSH_KNOWN_HOSTS=relative"}, 2, "PGAM_SSH_KNOWN_HOSTS"},
		"empty stats_db":  {[]string{"PGAM_STATS_DSN=" + pgtest.EmptyDB(t), "PGAM_KEY_FILE=" + in.key, "PGAM_DATA_DIR=" + t.TempDir()}, 2, "run pgam migrate"},
		"no stats_db yet": {[]string{"PGAM_STATS_DSN=postgres://x@127.0.0.1:1/stats_db", "PGAM_KEY_FILE=" + in.key, "PGAM_DATA_DIR=" + t.TempDir()}, 1, "check PGAM_STATS_DSN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append([]string{beProgram + "=1", "PGAM_HEALTH_LISTEN=127.0.0.1:0"}, tt.settings...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			if code := cmd.ProcessState.ExitCode(); err == nil || code != tt.code || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit code %d (%v), want %d and %q:\n%s", code, err, tt.code, tt.says, &stderr)
			}
		})
	}
}
