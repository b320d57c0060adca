package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/guard"
)

// ServiceConfig is what NewService needs.
type ServiceConfig struct {
	// Name is what it is called in readyz, metrics and the log.
	Name string
	Log  *slog.Logger
	// Run does the work once. more asks for the next turn at once.
	Run func(ctx context.Context) (more bool, err error)
	// Every is the time between two turns, Again that after one that failed; Timeout
	// bounds each.
	Every, Again, Timeout time.Duration
	// Usable says whether there is anything to work on. While it fails no turn is
	// taken: that is no fault of the service, and told elsewhere. Nil: always.
	Usable func(ctx context.Context) error
}

// Service does a piece of work again and again, in a goroutine of its own: at once
// when it is started, and then by its own timer. One that fails is tried again,
// and keeps no other waiting.
type Service struct {
	cfg    ServiceConfig
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	err  error     // of the last turn
	told time.Time // when that was last logged
}

// tellAgain is how often a fault that lasts is logged.
const tellAgain = 5 * time.Minute

// NewService checks the configuration. It starts nothing.
func NewService(cfg ServiceConfig) (*Service, error) {
	if cfg.Name == "" || cfg.Log == nil || cfg.Run == nil || cfg.Every <= 0 || cfg.Again <= 0 || cfg.Timeout <= 0 {
		return nil, errors.New("service without a name, a log, work or times")
	}
	return &Service{cfg: cfg, ended: make(chan struct{})}, nil
}

// Start begins to work, until ctx ends or Stop is called. It is called once.
func (s *Service) Start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	go s.loop(ctx)
}

// Stop ends the turn under way and waits for its end, as long as ctx allows. It
// may be called twice.
func (s *Service) Stop(ctx context.Context) error {
	s.cancel()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Name is what the service is called.
func (s *Service) Name() string { return s.cfg.Name }

// Err is why the last turn failed; nil: it did not, or there was none yet.
func (s *Service) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Check is Err for readyz.
func (s *Service) Check() Check {
	return Check{Name: s.cfg.Name, Run: func(context.Context) error { return s.Err() }}
}

func (s *Service) loop(ctx context.Context) {
	defer close(s.ended)
	for ctx.Err() == nil {
		timer := time.NewTimer(s.Turn(ctx))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Turn does the work once, and gives the time until the next turn. The loop calls
// it; so may a test.
func (s *Service) Turn(ctx context.Context) (pause time.Duration) {
	bound, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, fmt.Errorf("not done within %s", s.cfg.Timeout))
	defer cancel()
	if s.cfg.Usable != nil && s.cfg.Usable(bound) != nil {
		return s.cfg.Again
	}
	more, err := guard.Call(func() (bool, error) { return s.cfg.Run(bound) })
	switch {
	case ctx.Err() != nil: // asked to end, which is no failure
		return 0
	case err != nil && bound.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(bound), err)
	}
	s.note(ctx, err)
	switch {
	case err != nil:
		return s.cfg.Again
	case more:
		return 0
	}
	return s.cfg.Every
}

// note keeps how a turn went. A fault is logged when it comes, and again while it
// lasts.
func (s *Service) note(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && (s.err == nil || time.Since(s.told) >= tellAgain):
		s.cfg.Log.WarnContext(ctx, "service failed; it is tried again", "service", s.cfg.Name, "seconds", s.cfg.Again.Seconds(), "error", err)
		s.told = time.Now()
	case err == nil && s.err != nil:
		s.cfg.Log.InfoContext(ctx, "service works again", "service", s.cfg.Name)
	}
	s.err = err
}
