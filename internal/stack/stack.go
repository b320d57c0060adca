package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/pgam/pgam/internal/cluster"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/demo"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

const (
	loopback = "127.0.0.1"
	// readyWithin bounds the time from the start of our programs to their
	// first good answer.
	readyWithin = 30 * time.Second
	// childStopWithin bounds a program's own stop, childKillAfter is when it is
	// killed.
	childStopWithin = 4 * time.Second
	childKillAfter  = 6 * time.Second
	// stopWithin bounds a stop of everything.
	stopWithin = 35 * time.Second
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
	// Demo makes load on the cluster, so that there is something to see.
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
	cfg      Config
	stop     *daemon.Stopper
	failed   chan error
	cancel   context.CancelFunc
	folder   *folder
	keys     keys
	programs cluster.Binaries
	cluster  *cluster.Cluster
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
		if info, err := os.Stat(filepath.Join(cfg.BinDir, name)); err != nil || info.IsDir() || info.Mode().Perm()&0o111 == 0 {
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

	return &Stack{cfg: cfg, stop: daemon.NewStopper(), failed: make(chan error, 1)}, nil
}

// Start starts everything and returns when everything answers. When it fails,
// or ctx ends meanwhile, nothing is left running.
func (s *Stack) Start(ctx context.Context) (Report, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	err := s.start(ctx, running)
	if err != nil {
		if stopErr := s.Stop(context.WithoutCancel(ctx)); stopErr != nil {
			s.cfg.Say("stopping what had started: %v", stopErr)
		}

		return Report{}, err
	}

	return s.report, nil
}

// start works until ctx ends; what goes on afterwards lives as long as running.
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
	if err := s.choosePrograms(ctx); err != nil {
		return err
	}
	if err := s.placeCluster(); err != nil {
		return err
	}
	if s.keys, err = s.folder.openKeys(); err != nil {
		return err
	}
	if err := s.startCluster(ctx); err != nil {
		return err
	}
	if err := s.prepareStats(ctx); err != nil {
		return err
	}
	if err := s.register(ctx); err != nil {
		return err
	}
	if err := s.startPrograms(ctx, listen); err != nil {
		return err
	}
	go s.watchCluster(running)
	if s.cfg.Demo {
		if err := s.startDemo(ctx); err != nil {
			return err
		}
	}
	s.report.StatsDSN, s.report.DataDir = s.statsDSN, s.folder.dir
	s.report.Postgres, s.report.ClusterDir = s.programs.Version, s.folder.clusterDir()

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
	if s.cancel != nil {
		s.cancel()
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()

	return s.stop.Stop(ctx)
}

// startPrograms starts the collector and the API and waits until they answer.
func (s *Stack) startPrograms(ctx context.Context, listen string) error {
	health, err := freeAddress(ctx, loopback)
	if err != nil {
		return err
	}
	collector := s.startProgram("pgam-collector", "collector.log", map[string]string{
		"PGAM_DATA_DIR": Journal(s.folder.dir), "PGAM_HEALTH_LISTEN": health,
	})
	api := s.startProgram("pgam-api", "api.log", map[string]string{
		"PGAM_LISTEN": listen, "PGAM_TOKEN_KEY_FILE": s.folder.path("keys", tokenKeyFile),
	})
	s.report.CollectorURL, s.report.APIURL = "http://"+health, "http://"+reachable(listen)
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("no answer within %s: see the logs in %s", readyWithin, s.folder.path("log")))
	defer cancel()
	for _, program := range []struct {
		child *child
		url   string
	}{{collector, s.report.CollectorURL}, {api, s.report.APIURL}} {
		if err := s.awaitReady(ctx, program.child.cfg.name, program.url+"/readyz"); err != nil {
			return err
		}
		program.child.settle()
	}

	return nil
}

func (s *Stack) startProgram(name, log string, settings map[string]string) *child {
	c := startChild(childConfig{
		name: name, path: filepath.Join(s.cfg.BinDir, name), log: s.folder.path("log", log),
		env: s.environment(settings), say: s.cfg.Say, failed: s.fail,
	})
	s.stop.Add(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, childKillAfter)
		defer cancel()

		return c.Stop(ctx)
	})

	return c
}

// startDemo makes the load.
func (s *Stack) startDemo(ctx context.Context) error {
	load, err := demo.New(s.dsn(demoRole, s.keys.demo, demoDatabase), s.cfg.Say)
	if err != nil {
		return err
	}
	if !s.folder.state.DemoDatabase {
		s.cfg.Say("filling the demo's database")
	}
	if err := load.Prepare(ctx); err != nil {
		return err
	}
	load.Start() //nolint:contextcheck // It lives until its Stop.
	s.stop.Add("demo", load.Stop)
	s.folder.state.DemoDatabase = true

	return s.folder.save()
}
