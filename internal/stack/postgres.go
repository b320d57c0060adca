package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/cluster"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
)

// rootClusterParent holds the clusters of data folders that the user who runs
// PostgreSQL for root may not enter.
const rootClusterParent = "/var/lib"

// OldestPostgres is the oldest major version that stats_db can live in.
const OldestPostgres = 14

// clusterStopWithin bounds a stop that writes a checkpoint.
const clusterStopWithin = 15 * time.Second

// findBinaries returns the PostgreSQL to run: the one asked for, the one that
// the cluster was made with, or any; if need be, and if it may, it installs one.
func (s *Stack) findBinaries(ctx context.Context) (cluster.Binaries, error) {
	if last := s.folder.state.BinariesDir; s.cfg.PostgresBin == "" && last != "" {
		if found, err := cluster.BinariesIn(ctx, last); err == nil {
			return found, nil
		}
	}
	found, err := cluster.FindBinaries(ctx, s.cfg.PostgresBin)
	if err == nil || !errors.Is(err, cluster.ErrNoBinaries) || os.Geteuid() != 0 {
		return found, err
	}
	s.cfg.Say("no PostgreSQL found: installing it (%s)", cluster.InstallCommand())
	var output bytes.Buffer
	if err := cluster.Install(ctx, &output); err != nil {
		if text := lastLines(output.String()); text != "" {
			err = fmt.Errorf("%w: it said: %s", err, text)
		}

		return cluster.Binaries{}, err
	}

	return cluster.FindBinaries(ctx, "")
}

// choosePrograms finds a PostgreSQL that stats_db can live in.
func (s *Stack) choosePrograms(ctx context.Context) error {
	programs, err := s.findBinaries(ctx)
	if err != nil {
		return err
	}
	if major, err := strconv.Atoi(programs.Major); err == nil && major < OldestPostgres {
		return fmt.Errorf("stats_db needs PostgreSQL %d or newer, and %s is %s: install a newer one (%s), or name its folder with --postgres-bin",
			OldestPostgres, programs.Dir, programs.Version, cluster.InstallCommand())
	}
	s.programs = programs

	return nil
}

// placeCluster chooses where a new cluster goes: into the data folder, or, where
// its user may not enter that, into a folder of its own beside the system's
// other databases.
func (s *Stack) placeCluster() error {
	if s.folder.state.ClusterDir != "" {
		return nil
	}
	dir := "postgres"
	if barred := barredFolder(s.folder.path("postgres")); os.Geteuid() == 0 && barred != "" {
		parent, err := os.MkdirTemp(rootClusterParent, "pgam-up-")
		if err != nil {
			return unusable(err)
		}
		if err := os.Chmod(parent, 0o755); err != nil { //nolint:gosec // The cluster in it is 0700.
			return unusable(err)
		}
		dir = filepath.Join(parent, "postgres")
		s.cfg.Say("only root may enter %s, and PostgreSQL does not run as root: its files are in %s", barred, dir)
	}
	s.folder.state.ClusterDir = dir

	return s.folder.save()
}

// barredFolder returns the first folder above path that not everyone may enter.
func barredFolder(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// startCluster makes the cluster where there is none, and starts it.
func (s *Stack) startCluster(ctx context.Context) error {
	programs, dir := s.programs, s.folder.clusterDir()
	cfg := cluster.Config{
		Dir: dir, Binaries: programs, SocketDir: s.folder.path("run"), Listen: true,
		Password: s.keys.superuser.Reveal(), LogFile: s.folder.path("log", "postgresql.log"), Logger: s.cfg.Log,
		Settings: map[string]string{"track_io_timing": "on", "password_encryption": "scram-sha-256"}, //nolint:gosec // A method, not a password.
	}
	if filepath.IsAbs(s.folder.state.ClusterDir) {
		cfg.SocketDir = filepath.Join(filepath.Dir(dir), "run")
	}
	var err error
	if s.cluster, err = cluster.New(cfg); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		s.cfg.Say("making a PostgreSQL %s cluster in %s", programs.Version, dir)
	}
	if err := s.cluster.Init(ctx); err != nil {
		return err
	}
	s.stop.Add("PostgreSQL", s.stopCluster)
	if err := s.cluster.Start(ctx); err != nil {
		return err
	}
	if s.folder.state.BinariesDir != programs.Dir {
		s.folder.state.BinariesDir = programs.Dir

		return s.folder.save()
	}

	return nil
}

// stopCluster stops the cluster in its own time, or else at once.
func (s *Stack) stopCluster(ctx context.Context) error {
	fast, cancel := context.WithTimeout(ctx, clusterStopWithin)
	defer cancel()
	err := s.cluster.Stop(fast, cluster.Fast)
	if err == nil {
		return nil
	}

	return errors.Join(err, s.cluster.Stop(ctx, cluster.Immediate))
}

// watchCluster starts the server again when it ends by itself.
func (s *Stack) watchCluster(ctx context.Context) {
	for deaths := 0; ; {
		started := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-s.cluster.Done():
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > fastDeath {
			deaths = 0
		}
		deaths++
		s.cfg.Say("PostgreSQL ended: starting it again (its log: %s)", s.cluster.LogFile())
		port := s.cluster.Port()
		err := s.cluster.Start(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && s.cluster.Port() != port {
			err = fmt.Errorf("PostgreSQL came back on another port, because %d was taken: start pgam up again", port)
		}
		if err == nil && deaths >= maxFastDeaths {
			err = fmt.Errorf("PostgreSQL ended %d times in a row: see %s", deaths, s.cluster.LogFile())
		}
		if err != nil {
			s.fail(err)

			return
		}
	}
}

// prepareStats makes roles and databases and brings stats_db to this version.
func (s *Stack) prepareStats(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.cluster.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("enter the cluster: %w", err)
	}
	err = prepareCluster(ctx, conn, s.keys, s.cfg.Demo)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	s.statsDSN = s.dsn(statsRole, s.keys.stats, statsDatabase)
	if err := replaceFile(s.folder.path("keys", statsDSNFile), []byte(s.statsDSN.Reveal()+"\n")); err != nil {
		return err
	}
	conn, err = pgx.Connect(ctx, s.statsDSN.Reveal())
	if err != nil {
		return fmt.Errorf("enter stats_db: %w", err)
	}
	err = schema.Up(ctx, conn, slog.New(slog.DiscardHandler))

	return errors.Join(err, conn.Close(ctx))
}

// dsn returns the URL of a database of the cluster.
func (s *Stack) dsn(role string, password secret.Value, database string) secret.Value {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password.Reveal()),
		Host: net.JoinHostPort(loopback, strconv.Itoa(s.cluster.Port())), Path: "/" + database, RawQuery: "sslmode=disable",
	}

	return secret.New(u.String())
}
