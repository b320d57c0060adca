package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/cluster"
	"github.com/pgam/pgam/internal/faultnet"
)

// binaries returns the server programs of this machine.
func binaries(t *testing.T) cluster.Binaries {
	t.Helper()
	found, err := cluster.FindBinaries(t.Context(), "")
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
func config(t *testing.T) cluster.Config {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgam-cluster-") //nolint:usetesting // The system user of the server must be able to enter it.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	return cluster.Config{
		Dir:      filepath.Join(dir, "data"),
		Binaries: binaries(t),
		Settings: map[string]string{"fsync": "off", "shared_buffers": "16MB"},
		Volatile: true,
	}
}

// mustStart makes and starts a cluster, which the end of the test stops.
func mustStart(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx, cluster.Immediate); err != nil {
			t.Error(err)
		}
	})
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
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
	cfg.Listen, cfg.Superuser, cfg.Password = true, "pgam_owner", "p@ss/w:rd %?'"
	c := mustStart(t, cfg)

	for name, dsn := range map[string]string{"tcp": c.DSN("postgres"), "socket": c.SocketDSN("postgres")} {
		if got := mustQuery(t, dsn, "select current_user::text"); got != "pgam_owner" {
			t.Errorf("%s: current_user = %q", name, got)
		}
	}
	wrong := strings.Replace(c.DSN("postgres"), "rd%20", "xx", 1)
	var refused *pgconn.PgError
	if _, err := queryString(t, wrong, "select 1::text"); !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("wrong password: got %v, want SQLSTATE 28P01", err)
	}
	if got := mustQuery(t, c.DSN("postgres"), "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"); got != "scram-sha-256" {
		t.Errorf("authentication methods = %q, want scram-sha-256 only", got)
	}
	if got := mustQuery(t, c.DSN("postgres"), "select concat_ws(' ', current_setting('listen_addresses'), current_setting('server_encoding'), current_setting('TimeZone'))"); got != "127.0.0.1 UTF8 UTC" {
		t.Errorf("settings = %q", got)
	}

	pid, port := c.Pid(), c.Port()
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("process group of server %d = %d, %v: want its own", pid, group, err)
	}
	if err := c.Restart(t.Context(), cluster.Fast); err != nil {
		t.Fatal(err)
	}
	if c.Pid() == pid || c.Port() != port {
		t.Errorf("after restart: pid %d, port %d; before: %d, %d", c.Pid(), c.Port(), pid, port)
	}

	done := c.Done()
	for range 2 {
		if err := c.Stop(t.Context(), cluster.Fast); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if c.Running() || c.Pid() != 0 {
		t.Error("the cluster says that it runs after Stop")
	}

	again, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.Init(t.Context()), again.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if again.Port() != port {
		t.Errorf("port of a new start = %d, want that of the last, %d", again.Port(), port)
	}
	if err := again.Stop(t.Context(), cluster.Fast); err != nil {
		t.Fatal(err)
	}
}

func TestCluster_socketOnly(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.SocketDir = filepath.Join(filepath.Dir(cfg.Dir), strings.Repeat("long", 30))
	c := mustStart(t, cfg)
	if got := mustQuery(t, c.DSN("postgres"), "select current_setting('listen_addresses') || current_user::text"); got != "postgres" {
		t.Errorf("listen_addresses and user = %q", got)
	}
	dir := c.SocketDir()
	if len(dir) > 90 {
		t.Errorf("socket folder %q is too long", dir)
	}
	if err := c.Stop(t.Context(), cluster.Fast); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary socket folder %s is left: %v", dir, err)
	}
}

// A server that a killed parent left is taken over and can be stopped.
func TestCluster_adopt(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	first := mustStart(t, cfg)
	second, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second.Init(t.Context()), second.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if second.Pid() != first.Pid() || second.DSN("x") != first.DSN("x") {
		t.Errorf("taken over: pid %d, %s; want %d, %s", second.Pid(), second.DSN("x"), first.Pid(), first.DSN("x"))
	}
	if err := second.Stop(t.Context(), cluster.Fast); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if second.Running() || first.Running() {
		t.Error("the server runs after Stop")
	}
}

// After kill -9 of the first process a start works, though backends may still
// be on their way out and postmaster.pid is stale.
func TestCluster_killed(t *testing.T) {
	t.Parallel()
	c := mustStart(t, config(t))
	conn, err := pgx.Connect(t.Context(), c.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	done := c.Done()
	if err := syscall.Kill(c.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-done
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := mustQuery(t, c.DSN("postgres"), "select 'up'"); got != "up" {
		t.Errorf("got %q", got)
	}
}

func TestCluster_badSetting(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Settings["shared_buffers"] = "much"
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = c.Start(t.Context())
	if !errors.Is(err, cluster.ErrStart) || !strings.Contains(err.Error(), "shared_buffers") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Start = %v: want one line that names the setting", err)
	}
	if c.Running() {
		t.Error("a server that did not start runs")
	}
}

func TestCluster_portTaken(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Listen, cfg.Port = true, faultnet.Listen(t, nil).Port()
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); !errors.Is(err, cluster.ErrStart) || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("Start = %v, want the server's own reason", err)
	}
}

func TestCluster_dataFolder(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	tests := map[string]struct {
		prepare func(dir string) error
		want    error
		says    string
	}{
		"another version": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("9.4\n"), 0o600) },
			cluster.ErrVersion, "9.4",
		},
		"other files": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "letter"), nil, 0o600) },
			cluster.ErrDataDir, "other files",
		},
		"a file": {
			func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
			cluster.ErrDataDir, "another place",
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
			c, err := cluster.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Init(t.Context()); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Init = %v, want %v that says %q", err, tt.want, tt.says)
			}
			if err := c.Start(t.Context()); err == nil {
				t.Error("Start on it works")
			}
		})
	}
}

func TestCluster_startWithoutInit(t *testing.T) {
	t.Parallel()
	c, err := cluster.New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); !errors.Is(err, cluster.ErrDataDir) {
		t.Errorf("Start = %v, want ErrDataDir", err)
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
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Init(t.Context()); !errors.Is(err, cluster.ErrDataDir) || !strings.Contains(err.Error(), closed) {
		t.Errorf("Init = %v, want ErrDataDir that names %s", err, closed)
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

// Several processes that make the same cluster at once make one.
func TestCluster_concurrentInit(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	errs := make(chan error)
	for range 3 {
		go func() {
			c, err := cluster.New(cfg)
			if err == nil {
				err = c.Init(t.Context())
			}
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	mustStart(t, cfg)
}

// An initdb that is cut short leaves nothing.
func TestCluster_interruptedInit(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Init(ctx) }()
	for {
		if begun, _ := filepath.Glob(filepath.Join(cfg.Dir+".unfinished-*", "PG_VERSION")); len(begun) > 0 {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("Init ended before it began: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("an interrupted Init gives no error")
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data folder is there: %v", err)
	}
	mustStart(t, cfg)
}

func TestCluster_cancelledInit(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Init(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Init = %v, want context.Canceled", err)
	}
	if err := c.Init(t.Context()); err != nil {
		t.Errorf("Init after a cancelled one = %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	programs := cluster.Binaries{Dir: "/bin", Version: "15.1", Major: "15"}
	for name, cfg := range map[string]cluster.Config{
		"no folder":     {Binaries: programs},
		"no binaries":   {Dir: "/x"},
		"port":          {Dir: "/x", Binaries: programs, Port: 70000},
		"setting":       {Dir: "/x", Binaries: programs, Settings: map[string]string{"a b": "c"}},
		"password":      {Dir: "/x", Binaries: programs, Password: "a\nb"},
		"setting value": {Dir: "/x", Binaries: programs, Settings: map[string]string{"a": "b\x00"}},
	} {
		if _, err := cluster.New(cfg); err == nil {
			t.Errorf("%s: New accepts %+v", name, cfg)
		}
	}
}

func TestFindBinaries_hint(t *testing.T) {
	t.Parallel()
	found := binaries(t)
	again, err := cluster.FindBinaries(t.Context(), found.Dir)
	if err != nil || again != found {
		t.Errorf("FindBinaries(%s) = %+v, %v, want %+v", found.Dir, again, err, found)
	}
	if _, err := cluster.FindBinaries(t.Context(), t.TempDir()); err == nil || errors.Is(err, cluster.ErrNoBinaries) {
		t.Errorf("FindBinaries of an empty folder = %v, want an error about that folder", err)
	}
	if fmt.Sprint(found.Major) == "" || !strings.HasPrefix(found.Version, found.Major) {
		t.Errorf("version %q, major %q", found.Version, found.Major)
	}
}
