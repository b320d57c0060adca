package postgres_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/local/postgres"
)

// binaries returns the server programs of this machine.
func binaries(t *testing.T) postgres.Binaries {
	t.Helper()
	found, err := postgres.FindBinaries(t.Context())
	if err == nil {
		return found
	}
	if os.Getenv("CI") == "true" { //nolint:forbidigo // Tests decide by it whether PostgreSQL must be there.
		t.Fatal(err)
	}
	t.Skip(err)

	return found
}

// config returns a volatile cluster in a folder that every user can enter.
func config(t *testing.T) postgres.Config {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgam-cluster-") //nolint:usetesting // The system user of the server must be able to enter it.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	return postgres.Config{
		Dir:      filepath.Join(dir, "data"),
		Binaries: binaries(t),
		Settings: map[string]string{"fsync": "off", "shared_buffers": "16MB"},
	}
}

// mustStart makes and starts a cluster, which the end of the test stops.
func mustStart(t *testing.T, cfg postgres.Config) *postgres.Cluster {
	t.Helper()
	c, err := postgres.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx, postgres.Immediate); err != nil {
			t.Error(err)
		}
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	return c
}

func queryString(t *testing.T, dsn, sql string) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var s string
	err = conn.QueryRow(t.Context(), sql).Scan(&s)

	return s, err
}

func mustQuery(t *testing.T, dsn, sql string) string {
	t.Helper()
	s, err := queryString(t, dsn, sql)
	if err != nil {
		t.Fatal(err)
	}

	return s
}

func TestCluster_life(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Password = "p@ss/w:rd %?'"
	c := mustStart(t, cfg)

	dsn := c.DSN(postgres.Superuser, cfg.Password, "postgres")
	socket := strings.Replace(dsn, "127.0.0.1:"+strconv.Itoa(c.Port()), "", 1) + "&host=" + c.SocketDir() + "&port=" + strconv.Itoa(c.Port())
	for name, dsn := range map[string]string{"tcp": dsn, "socket": socket} {
		if got := mustQuery(t, dsn, "select current_user::text"); got != "postgres" {
			t.Errorf("%s: current_user = %q", name, got)
		}
	}
	wrong := c.DSN(postgres.Superuser, "wrong", "postgres")
	var refused *pgconn.PgError
	if _, err := queryString(t, wrong, "select 1::text"); !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("wrong password: got %v, want SQLSTATE 28P01", err)
	}
	if got := mustQuery(t, dsn, "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"); got != "scram-sha-256" {
		t.Errorf("authentication methods = %q, want scram-sha-256 only", got)
	}
	if got := mustQuery(t, dsn, "select concat_ws(' ', current_setting('listen_addresses'), current_setting('server_encoding'), current_setting('TimeZone'))"); got != "127.0.0.1 UTF8 UTC" {
		t.Errorf("settings = %q", got)
	}

	pid, port := c.Pid(), c.Port()
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("process group of server %d = %d, %v: want its own", pid, group, err)
	}
	if err := errors.Join(c.Stop(t.Context(), postgres.Fast), c.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if c.Pid() == pid || c.Port() != port {
		t.Errorf("after restart: pid %d, port %d; before: %d, %d", c.Pid(), c.Port(), pid, port)
	}

	done := c.Process().Done()
	for range 2 {
		if err := c.Stop(t.Context(), postgres.Fast); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if c.Pid() != 0 {
		t.Error("the cluster says that it runs after Stop")
	}

	again, err := postgres.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again.Port() != port {
		t.Errorf("port of a new start = %d, want that of the last, %d", again.Port(), port)
	}
	if err := again.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
}

func TestCluster_longPath(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Dir = filepath.Join(filepath.Dir(cfg.Dir), strings.Repeat("long", 30), "data")
	c := mustStart(t, cfg)
	dir := c.SocketDir()
	if _, err := os.Stat(filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(c.Port()))); err != nil || len(dir) > 90 {
		t.Errorf("socket in %q: %v", dir, err)
	}
	if err := c.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary socket folder %s is left: %v", dir, err)
	}
}

// A server that a killed parent left is stopped: there is never a second one.
func TestCluster_leftover(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	first := mustStart(t, cfg)
	left, port := first.Process(), first.Port()
	second := mustStart(t, cfg)
	<-left.Done()
	if first.Pid() != 0 || second.Pid() == 0 || second.Port() != port {
		t.Errorf("left over: pid %d at port %d; now: pid %d at port %d", first.Pid(), port, second.Pid(), second.Port())
	}
}

// After kill -9 of the first process a start works, though backends may still
// be on their way out and postmaster.pid is stale.
func TestCluster_killed(t *testing.T) {
	t.Parallel()
	c := mustStart(t, config(t))
	conn, err := pgx.Connect(t.Context(), c.DSN(postgres.Superuser, "", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	done := c.Process().Done()
	if err := syscall.Kill(c.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-done
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := mustQuery(t, c.DSN(postgres.Superuser, "", "postgres"), "select 'up'"); got != "up" {
		t.Errorf("got %q", got)
	}
}

func TestCluster_badSetting(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Settings["shared_buffers"] = "much"
	c, err := postgres.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Start(t.Context())
	if !errors.Is(err, postgres.ErrStart) || !strings.Contains(err.Error(), "shared_buffers") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Start = %v: want one line that names the setting", err)
	}
	if c.Pid() != 0 {
		t.Error("a server that did not start runs")
	}
}

// A port that somebody took meanwhile is left to them.
func TestCluster_portTaken(t *testing.T) {
	t.Parallel()
	c := mustStart(t, config(t))
	port := c.Port()
	if err := c.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Skip(err) // Somebody was faster.
	}
	defer func() { _ = listener.Close() }()
	if err := c.Start(t.Context()); err != nil || c.Port() == port {
		t.Errorf("Start = %v at port %d, which is taken", err, c.Port())
	}
}

func TestCluster_dataFolder(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	tests := map[string]struct {
		prepare func(dir string) error
		says    string
	}{
		"another version": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("9.4\n"), 0o600) },
			"9.4",
		},
		"other files": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600) },
			"other files",
		},
		"a file": {
			func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
			"another place",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.Dir = filepath.Join(t.TempDir(), "data")
			if err := errors.Join(os.Mkdir(cfg.Dir, 0o755), tt.prepare(cfg.Dir)); err != nil {
				t.Fatal(err)
			}
			c, err := postgres.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(t.Context()); !errors.Is(err, postgres.ErrDataDir) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Start = %v, want ErrDataDir that says %q", err, tt.says)
			}
		})
	}
}

// A folder that the server's user cannot enter, or this user not write to.
func TestCluster_closedFolder(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	closed := filepath.Join(filepath.Dir(cfg.Dir), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(closed, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Dir = filepath.Join(closed, "data")
	c, err := postgres.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); !errors.Is(err, postgres.ErrDataDir) || !strings.Contains(err.Error(), closed) {
		t.Errorf("Start = %v, want ErrDataDir that names %s", err, closed)
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left at %s: %v", cfg.Dir, err)
	}
}

// What an interrupted initdb left is thrown away.
func TestCluster_unfinished(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	left := filepath.Join(cfg.Dir+".unfinished", "base")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	mustStart(t, cfg)
	if _, err := os.Stat(cfg.Dir + ".unfinished"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished folder is left: %v", err)
	}
	matches, err := filepath.Glob(filepath.Join(filepath.Dir(cfg.Dir), ".pgam-password-*"))
	if err != nil || len(matches) > 0 {
		t.Errorf("password files left: %v, %v", matches, err)
	}
}

// An initdb that is cut short leaves nothing.
func TestCluster_interrupted(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	c, err := postgres.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Start(ctx) }()
	for {
		if begun, _ := filepath.Glob(filepath.Join(cfg.Dir+".unfinished-*", "PG_VERSION")); len(begun) > 0 {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("Start ended before it began: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("an interrupted Start gives no error")
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data folder is there: %v", err)
	}
	mustStart(t, cfg)
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	programs := postgres.Binaries{Dir: "/bin", Version: "15.1", Major: "15"}
	for name, cfg := range map[string]postgres.Config{
		"no folder":   {Binaries: programs},
		"no binaries": {Dir: "/x"},
		"password":    {Dir: "/x", Binaries: programs, Password: "a\nb"},
		"too old":     {Dir: "/x", Binaries: postgres.Binaries{Dir: "/bin", Version: "9.6.24", Major: "9.6"}},
	} {
		if _, err := postgres.New(cfg); err == nil {
			t.Errorf("%s: New accepts %+v", name, cfg)
		}
	}
}

func TestBinariesIn(t *testing.T) {
	t.Parallel()
	found := binaries(t)
	again, err := postgres.BinariesIn(t.Context(), found.Dir)
	if err != nil || again != found {
		t.Errorf("BinariesIn(%s) = %+v, %v, want %+v", found.Dir, again, err, found)
	}
	if _, err := postgres.BinariesIn(t.Context(), t.TempDir()); err == nil || errors.Is(err, postgres.ErrNoBinaries) {
		t.Errorf("BinariesIn an empty folder = %v, want an error about that folder", err)
	}
	if found.Major == "" || !strings.HasPrefix(found.Version, found.Major) {
		t.Errorf("version %q, major %q", found.Version, found.Major)
	}
}
