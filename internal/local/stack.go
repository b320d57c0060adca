package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/local/postgres"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

const (
	// OldestPostgres is the oldest major version that stats_db can live in.
	OldestPostgres = 14

	loopback = "127.0.0.1"
	// rootClusterParent holds the clusters of data folders that the user who
	// runs PostgreSQL for root may not enter.
	rootClusterParent = "/var/lib"
	// readyWithin bounds the time from the start of our programs to their
	// first good answer.
	readyWithin = 30 * time.Second
	// childStopWithin bounds a program's own stop, childKillAfter is when it is
	// killed, clusterStopWithin when PostgreSQL is stopped without a checkpoint.
	childStopWithin   = 4 * time.Second
	childKillAfter    = 6 * time.Second
	clusterStopWithin = 15 * time.Second
	// stopWithin bounds a stop of everything.
	stopWithin = 35 * time.Second

	// What there is of servers that are made up.
	demoServers = 3
	demoDays    = 7
	demoCadence = 10 * time.Second

	// fastDeath is how long a program must live for its end not to count
	// towards giving up.
	fastDeath = 10 * time.Second
	// maxFastDeaths is how many ends in a row are enough.
	maxFastDeaths = 5
	// firstPause doubles with each of them.
	firstPause = 500 * time.Millisecond
	// exitConfiguration is the code with which our programs end where starting
	// them again is no use.
	exitConfiguration = 2
)

// Config says what to run.
type Config struct {
	// DataDir is the folder of everything that is kept.
	DataDir string
	// BinDir holds pgam-collector and pgam-api.
	BinDir string
	// PostgresBin holds initdb and postgres; empty to look for them.
	PostgresBin string
	// Listen is where the API listens, host:port; port 0 takes a free one.
	Listen string
	// AnyPort takes another port where that of Listen is taken.
	AnyPort bool
	// Targets are servers to register; their names are made from their
	// addresses.
	Targets []target.Target
	// Demo makes load on the cluster and history of servers that do not exist, so
	// that there is something to see.
	Demo bool
	// Environ is the environment, NAME=value, that our programs get. What is
	// about parts of the stack is replaced.
	Environ []string
	// Log takes what happens to the cluster, Say what a person should know, one
	// line a call. Neither is nil.
	Log *slog.Logger
	Say func(format string, args ...any)
}

// Report is what runs.
type Report struct {
	APIURL       string
	CollectorURL string       // /healthz, /readyz and /metrics
	Login        string       // of the first administrator
	Password     secret.Value // of Login, when it was made just now; else empty
	StatsDSN     secret.Value
	DataDir      string   // absolute
	Servers      []string // names: the cluster itself, unless it was deleted, then those asked for
	Postgres     string   // version
	ClusterDir   string   // absolute
}

// Stack is everything together. Start and Stop are called once each.
type Stack struct {
	cfg    Config
	stop   *daemon.Stopper
	failed chan error
	cancel context.CancelFunc // ends what goes on behind
	behind sync.WaitGroup     // waits for that
	pause  time.Duration      // firstPause but for tests

	folder   *folder
	keys     keys
	cluster  *postgres.Cluster
	port     int // of the cluster
	statsDSN secret.Value
	report   Report
}

// New checks a configuration and starts nothing.
func New(cfg Config) (*Stack, error) {
	if cfg.DataDir == "" || cfg.Log == nil || cfg.Say == nil {
		return nil, errors.New("configure stack: a data folder, a log and a listener are needed")
	}
	if _, _, err := splitAddress(cfg.Listen); err != nil {
		return nil, err
	}
	for _, name := range []string{"pgam-collector", "pgam-api"} {
		if _, err := exec.LookPath(filepath.Join(cfg.BinDir, name)); err != nil {
			return nil, fmt.Errorf("no program %s in %s: build it (make build), or name its folder with --bin-dir", name, cfg.BinDir)
		}
	}
	for i := range cfg.Targets {
		t := cfg.Targets[i]
		t.Name = ServerName(t.Endpoint)
		t.Defaults()
		if err := t.Validate(); err != nil {
			return nil, err
		}
	}

	return &Stack{cfg: cfg, stop: daemon.NewStopper(), failed: make(chan error, 1), pause: firstPause}, nil
}

// Start starts everything and returns when everything answers. When it fails,
// or ctx ends meanwhile, nothing is left running.
func (s *Stack) Start(ctx context.Context) (Report, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	if err := s.start(ctx, running); err != nil {
		if stopErr := s.Stop(context.WithoutCancel(ctx)); stopErr != nil {
			s.cfg.Say("stopping what had started: %v", stopErr)
		}

		return Report{}, err
	}

	return s.report, nil
}

// start works until ctx ends; what goes on behind lives as long as running.
func (s *Stack) start(ctx, running context.Context) error {
	var err error
	if s.folder, err = openFolder(s.cfg.DataDir); err != nil {
		return err
	}
	s.stop.Add("data folder", func(context.Context) error { return s.folder.close() })
	listen, err := s.chooseListen(ctx)
	if err != nil {
		return err
	}
	programs, err := s.choosePrograms(ctx)
	if err != nil {
		return err
	}
	if err := s.placeCluster(); err != nil {
		return err
	}
	if s.keys, err = s.folder.openKeys(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return s.startCluster(ctx, running, programs) },
		func() error { return s.prepareStats(ctx) },
		func() error { return s.register(ctx) },
		func() error { return s.startPrograms(ctx, running, listen) },
		func() error { return s.startDemo(ctx, running) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	s.report.StatsDSN, s.report.DataDir = s.statsDSN, s.folder.dir
	s.report.Postgres, s.report.ClusterDir = programs.Version, s.folder.clusterDir()

	return nil
}

// Failed gives the error for which the stack cannot go on; it must be stopped
// then.
func (s *Stack) Failed() <-chan error { return s.failed }

func (s *Stack) fail(err error) {
	select {
	case s.failed <- err:
	default: // The first one counts.
	}
}

// Stop stops everything that was started, in reverse order.
func (s *Stack) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if s.cancel != nil {
		s.cancel()
	}
	s.behind.Wait() // Nothing is started again from here on.

	return s.stop.Stop(ctx)
}

// keep starts a program again when it ends by itself, with growing pauses; one
// that ends again and again, or over its configuration, is given up.
func (s *Stack) keep(running context.Context, p *postgres.Process, again func(context.Context) (*postgres.Process, error)) {
	s.behind.Go(func() {
		for deaths := 0; ; {
			begun := time.Now()
			select {
			case <-running.Done():
				return
			case <-p.Done():
			}
			if time.Since(begun) >= fastDeath {
				deaths = 0
			}
			deaths++
			ended := p.Ended()
			exit, _ := errors.AsType[*exec.ExitError](ended)
			if deaths >= maxFastDeaths || exit != nil && exit.ExitCode() == exitConfiguration {
				s.fail(ended)

				return
			}
			pause := s.pause << (deaths - 1)
			s.cfg.Say("%s: starting it again in %s", ended, pause)
			if wait(running, pause) != nil {
				return
			}
			var err error
			if p, err = again(running); err != nil {
				s.fail(err)

				return
			}
		}
	})
}

// choosePrograms finds a PostgreSQL that stats_db can live in: the one asked
// for, the one that the cluster was made with, or any; if need be, and if it may,
// it installs one.
func (s *Stack) choosePrograms(ctx context.Context) (programs postgres.Binaries, err error) {
	if s.cfg.PostgresBin != "" {
		if programs, err = postgres.BinariesIn(ctx, s.cfg.PostgresBin); err != nil {
			return programs, fmt.Errorf("find PostgreSQL in the folder asked for: %w", err)
		}
	} else if programs, err = postgres.BinariesIn(ctx, s.folder.state.BinariesDir); s.folder.state.BinariesDir == "" || err != nil {
		programs, err = postgres.FindBinaries(ctx)
	}
	if errors.Is(err, postgres.ErrNoBinaries) && os.Geteuid() == 0 {
		s.cfg.Say("no PostgreSQL found: installing it (%s)", postgres.InstallCommand())
		if err := postgres.Install(ctx); err != nil {
			return programs, err
		}
		programs, err = postgres.FindBinaries(ctx)
	}
	if err != nil {
		return programs, err
	}
	if major, err := strconv.Atoi(programs.Major); err == nil && major < OldestPostgres {
		return programs, fmt.Errorf("stats_db needs PostgreSQL %d or newer, and %s is %s: install a newer one (%s), or name its folder with --postgres-bin",
			OldestPostgres, programs.Dir, programs.Version, postgres.InstallCommand())
	}

	return programs, nil
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
		if err == nil {
			err = os.Chmod(parent, 0o755) //nolint:gosec // The cluster in it is 0700.
		}
		if err != nil {
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

// startCluster makes the cluster where there is none, and keeps it running on
// one port.
func (s *Stack) startCluster(ctx, running context.Context, programs postgres.Binaries) (err error) {
	dir := s.folder.clusterDir()
	s.cluster, err = postgres.New(postgres.Config{
		Dir: dir, Binaries: programs, Password: s.keys.superuser.Reveal(), LogFile: s.folder.path("log", "postgresql.log"), Logger: s.cfg.Log,
		Settings: map[string]string{"track_io_timing": "on", "password_encryption": "scram-sha-256"}, //nolint:gosec // A method, not a password.
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		s.cfg.Say("making a PostgreSQL %s cluster in %s", programs.Version, dir)
	}
	if err := s.cluster.Start(ctx); err != nil {
		return err
	}
	s.stop.Add("PostgreSQL", func(ctx context.Context) error {
		fast, cancel := context.WithTimeout(ctx, clusterStopWithin)
		defer cancel()
		if err := s.cluster.Stop(fast, postgres.Fast); err != nil {
			return errors.Join(err, s.cluster.Stop(ctx, postgres.Immediate))
		}

		return nil
	})
	s.port = s.cluster.Port()
	s.keep(running, s.cluster.Process(), func(ctx context.Context) (*postgres.Process, error) {
		err := s.cluster.Start(ctx)
		if err == nil && s.cluster.Port() != s.port {
			err = fmt.Errorf("PostgreSQL came back on another port, because %d was taken: start pgam up again", s.port)
		}

		return s.cluster.Process(), err
	})
	if s.folder.state.BinariesDir == programs.Dir {
		return nil
	}
	s.folder.state.BinariesDir = programs.Dir

	return s.folder.save()
}

// prepareStats makes roles and databases and brings stats_db to this version.
func (s *Stack) prepareStats(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.cluster.DSN(postgres.Superuser, s.keys.superuser.Reveal(), "postgres"))
	if err != nil {
		return fmt.Errorf("enter the cluster: %w", err)
	}
	err = prepareCluster(ctx, conn, s.keys, s.cfg.Demo)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	s.statsDSN = secret.New(s.cluster.DSN(statsRole, s.keys.stats.Reveal(), statsDatabase))
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

// fillHistory gives servers that do not exist a week of history, beside the real
// one.
func (s *Stack) fillHistory(ctx context.Context) error {
	db, err := statsdb.New(statsdb.Config{DSN: s.statsDSN, Application: "pgam-demo", MaxConns: demoServers})
	if err != nil {
		return err
	}
	defer db.Close()
	begun := time.Now()
	said := begun
	cfg := synth.Config{Seed: 1, Hash: sample.NewHash(s.keys.ring.ContentKey()), Cadence: demoCadence, Sessions: 5, Queries: 400}
	err = synth.Fill(ctx, db, catalog.New(db, s.keys.ring), cfg, demoServers, demoDays, begun, func(done, all int) {
		if now := time.Now(); now.Sub(said) >= 5*time.Second {
			said = now
			s.cfg.Say("making up history: %d of %d days", done, all)
		}
	})
	if err == nil {
		s.cfg.Say("made-up history: %d servers, %d days, in %s", demoServers, demoDays, time.Since(begun).Round(time.Second))
	}

	return err
}

// startDemo makes the load, and a past beside it.
func (s *Stack) startDemo(ctx, running context.Context) error {
	if !s.cfg.Demo {
		return nil
	}
	load, err := NewLoad(secret.New(s.cluster.DSN(demoRole, s.keys.demo.Reveal(), demoDatabase)), s.cfg.Say)
	if err != nil {
		return err
	}
	if !s.folder.state.DemoDatabase {
		s.cfg.Say("filling the demo's database")
	}
	if err := load.Prepare(ctx); err != nil {
		return err
	}
	s.behind.Go(func() { load.Run(running) })
	s.behind.Go(func() {
		if err := s.fillHistory(running); err != nil && running.Err() == nil {
			s.cfg.Say("the made-up history is not complete, the next start goes on with it: %v", err)
		}
	})
	s.folder.state.DemoDatabase = true

	return s.folder.save()
}
