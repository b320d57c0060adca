package main

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/ingest"
)

// settings are those in force: the environment's, and over them what was changed
// while running.
type settings struct {
	catalog     *catalog.Catalog
	log         *slog.Logger
	environment config.Collector
	now         atomic.Pointer[config.Collector]
	published   atomic.Bool
}

func newSettings(stored *catalog.Catalog, log *slog.Logger, environment config.Collector) *settings {
	s := &settings{catalog: stored, log: log, environment: environment}
	s.now.Store(&environment)
	return s
}

// read takes over what was changed. A value that this program does not accept is
// left out.
func (s *settings) read(ctx context.Context) (collector.Settings, error) {
	if !s.published.Load() {
		if err := s.catalog.PublishSettings(ctx, s.environment.InForce()); err != nil {
			return collector.Settings{}, err
		}
		s.published.Store(true)
	}
	stored, err := s.catalog.Settings(ctx)
	if err != nil {
		return collector.Settings{}, err
	}
	changed := make(map[string]string)
	for _, one := range stored {
		if one.Value != nil {
			changed[one.Name] = *one.Value
		}
	}
	now, faults := s.environment.With(changed)
	for _, fault := range faults {
		s.log.WarnContext(ctx, "a changed setting is not accepted; the environment's is in force", "error", fault)
	}
	before, after := s.now.Swap(&now).InForce(), now.InForce()
	for name, value := range after {
		if before[name] != value {
			s.log.InfoContext(ctx, "setting changed", "setting", name, "from", before[name], "to", value)
		}
	}
	return collector.Settings{Burst: burst(now)}, nil
}

// retention is what is kept for how long, now.
func (s *settings) retention() ingest.Retention { return retention(*s.now.Load()) }

func burst(cfg config.Collector) collector.Burst {
	return collector.Burst{
		Active: cfg.BurstActive, LockWaits: cfg.BurstLockWaits, ConnectionsPercent: cfg.BurstConnectionsPercent,
		Length: cfg.BurstLength.Std(), Pause: cfg.BurstPause.Std(),
	}
}
