// Command pgam-api answers questions about PostgreSQL servers, now and in the
// past, over HTTP. Its settings are in the environment; pgam-api --help lists
// them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/IBM/pgxpoolprometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const program = "pgam-api"

// memory is what Go may take of the 256 MiB that the API stays below: the rest is
// the program itself.
const memory = 208 << 20

func main() {
	if done, code := flags(os.Args[1:], os.Stdout, os.Stderr); done {
		os.Exit(code)
	}
	os.Exit(daemon.Main(program, run))
}

// run wires the API, from the configuration to the listener, and waits.
func run(ctx context.Context, frame *daemon.Frame) error {
	libpq := config.WithoutLibpq(os.Environ())
	cfg, err := config.LoadAPI(os.Environ())
	if err != nil {
		return daemon.Configuration(err)
	}
	tuneHeap()
	daemon.LimitMemory(memory)
	log := frame.Configure(daemon.Options{Level: cfg.LogLevel, Format: cfg.LogFormat, StopWithin: cfg.ShutdownTimeout.Std()})
	if len(libpq) > 0 {
		log.WarnContext(ctx, "variables of libpq are set and not read: PGAM_STATS_DSN says all", "variables", libpq)
	}
	frame.OnReload(ctx, reloading(frame, cfg))
	keyring, err := secret.ReadKeyring(cfg.KeyFile)
	if err != nil {
		return daemon.Configuration(err)
	}
	db, err := statsdb.New(statsdb.Config{
		DSN: cfg.StatsDSN, Application: program, MinConns: cfg.PoolStats.Min, MaxConns: cfg.PoolStats.Max, GenericPlans: true,
	})
	if err != nil {
		return daemon.Configuration(err)
	}
	frame.OnStop("stats_db", func(context.Context) error { db.Close(); return nil })
	if err := checkSchema(ctx, db); err != nil {
		return err
	}
	shells, err := remote.NewShells(remote.ShellsConfig{KnownHosts: cfg.SSHKnownHosts, Timeout: cfg.SSHTimeout.Std(), Log: log})
	if err != nil {
		return daemon.Configuration(err)
	}
	frame.OnStop("ssh", func(context.Context) error { shells.Close(); return nil })
	stored := catalog.New(db, keyring)
	now, err := newLive(cfg, log, stored, shells)
	if err != nil {
		return daemon.Configuration(err)
	}
	if err := now.Start(ctx); err != nil {
		return err
	}
	frame.OnStop("live", now.Stop)

	registry := daemon.NewRegistry(program)
	registry.MustRegister(pgxpoolprometheus.NewCollector(db.Pool(), map[string]string{"pool": "stats_db"}), newQuestions(now))
	handler, err := newHandler(cfg, log, db, stored, now, registry)
	if err != nil {
		return daemon.Configuration(err)
	}
	server, err := daemon.NewServer(daemon.ServerOptions{
		Name: "api", Listen: cfg.Listen, Setting: "PGAM_LISTEN", Handler: handler, Log: log, Failed: frame.Fail,
	})
	if err != nil {
		return daemon.Configuration(err)
	}
	addr, err := server.Start(ctx)
	if err != nil {
		return err
	}
	frame.OnStop("listener", server.Stop)
	frame.OnStop("streams", now.EndStreams)
	frame.Watch(ctx, beating(now))
	frame.Ready("address", addr.String())
	<-ctx.Done()
	return nil
}

// checkSchema refuses to start on a stats_db that is not what this program was
// built for.
func checkSchema(ctx context.Context, db *statsdb.DB) error {
	err := db.CheckSchema(ctx)
	switch {
	case errors.Is(err, statsdb.ErrSchema):
		return daemon.Configuration(err)
	case statsdb.MayPass(err):
		return fmt.Errorf("%w: check PGAM_STATS_DSN and that PostgreSQL runs there", err)
	}
	return err
}

// beating says whether the list of servers is still being followed.
func beating(now *live.Live) func() error {
	return func() error {
		if late := time.Since(now.Beat()); late > 30*time.Second {
			return fmt.Errorf("servers not followed for %s", late.Round(time.Second))
		}
		return nil
	}
}

// newLive makes what answers questions about now.
func newLive(cfg config.API, log *slog.Logger, stored *catalog.Catalog, shells *remote.Shells) (*live.Live, error) {
	asked := live.Config{
		Catalog: stored, Log: log, Application: program, Pools: poolSizes(cfg),
		Deadline: cfg.LiveDeadline.Std(), StatusTTL: cfg.StatusCacheTTL.Std(), Listeners: cfg.MaxStreams,
		Shells: shells, Disks: probe.NewDiskReader(shells), DiskTTL: cfg.SSHCacheTTL.Std(),
	}
	if cfg.SSHHostKeys == "accept-new" {
		asked.Pins = stored
	}
	return live.New(asked)
}

func poolSizes(cfg config.API) map[target.PoolProfile]live.Size {
	return map[target.PoolProfile]live.Size{
		target.PoolDefault:  live.Size(cfg.PoolDefault),
		target.PoolStatsDB:  live.Size(cfg.PoolStats),
		target.PoolHighLoad: live.Size(cfg.PoolHighLoad),
	}
}

// newHandler makes the API over its services.
func newHandler(cfg config.API, log *slog.Logger, db *statsdb.DB, stored *catalog.Catalog, now *live.Live, registry *prometheus.Registry) (http.Handler, error) {
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokens(auth.TokensConfig{
		Key: []byte(cfg.TokenKey.Reveal()), PreviousKey: previousKey(cfg), Issuer: cfg.TokenIssuer, Audience: cfg.TokenAudience,
		TTL: cfg.TokenTTL.Std(),
	})
	if err != nil {
		return nil, err
	}
	ready, err := daemon.NewReadiness(log, daemon.Check{Name: "stats_db", Run: db.CheckSchema})
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{
		Services: api.Services{
			Catalog: stored, Live: now, History: history.New(db), Settings: settings{stored},
			Passwords: hasher, Tokens: tokens, Sessions: auth.Lifetimes{Idle: cfg.SessionIdle.Std(), Absolute: cfg.SessionLifetime.Std()},
			Healthy: healthy(ready), Log: log, Version: daemon.Build().Version, OwnPorts: ownPorts(cfg, db),
			SessionControl: target.SessionControl(cfg.SessionControl),
		},
		CORSOrigins: cfg.CORSOrigins, TrustedProxies: cfg.TrustedProxies, LoginsPerMinute: cfg.LoginRate,
		Liveness: daemon.Liveness(program, nil), Readiness: ready, Metrics: daemon.Metrics(registry), Registry: registry,
	})
}

// ownPorts are where this API and its stats_db listen.
func ownPorts(cfg config.API, db *statsdb.DB) []int {
	ports := []int{int(db.Pool().Config().ConnConfig.Port)}
	if _, port, err := net.SplitHostPort(cfg.Listen); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			ports = append(ports, n)
		}
	}
	return ports
}

func previousKey(cfg config.API) []byte {
	if cfg.TokenKeyPrevious.IsZero() {
		return nil
	}
	return []byte(cfg.TokenKeyPrevious.Reveal())
}

// healthy says what /readyz says.
func healthy(ready *daemon.Readiness) func(context.Context) bool {
	return func(ctx context.Context) bool { return ready.Report(ctx).Ready }
}
