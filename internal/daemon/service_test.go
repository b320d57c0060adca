package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

var quietLog = slog.New(slog.DiscardHandler)

func newService(t *testing.T, cfg ServiceConfig) *Service {
	t.Helper()
	cfg.Name, cfg.Log, cfg.Every, cfg.Again = "work", quietLog, time.Hour, time.Minute
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Hour
	}
	s, err := NewService(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestService_turns: how a turn went says when the next one is, and whether the
// service is well.
func TestService_turns(t *testing.T) {
	t.Parallel()
	var (
		more    bool
		fault   error
		unusual error
		turns   int
	)
	s := newService(t, ServiceConfig{
		Usable: func(context.Context) error { return unusual },
		Run: func(context.Context) (bool, error) {
			if turns++; turns == 4 {
				panic("a bug")
			}
			return more, fault
		},
	})
	turn := func(want time.Duration, says string) {
		t.Helper()
		if got := s.Turn(t.Context()); got != want {
			t.Errorf("turn %d: the next one after %s, want %s", turns, got, want)
		}
		if err := s.Check().Run(t.Context()); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("turn %d: %v, want %q", turns, err, says)
		}
	}
	turn(time.Hour, "")
	more = true
	turn(0, "")
	fault = errors.New("full disk")
	turn(time.Minute, "full disk")
	turn(time.Minute, "a bug")
	fault = nil
	unusual = errors.New("stats_db is away")
	turn(time.Minute, "a bug")
	if turns != 4 {
		t.Errorf("%d turns, of which one was not to be taken", turns)
	}
	unusual, more = nil, false
	turn(time.Hour, "")
}

// TestService_bounded: a turn that takes too long is ended and has failed; one that
// is ended by the stop has not, and the stop waits for it.
func TestService_bounded(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	s := newService(t, ServiceConfig{Run: hangs, Timeout: time.Millisecond})
	if got := s.Turn(t.Context()); got != time.Minute || s.Err() == nil || !strings.Contains(s.Err().Error(), "not done within 1ms") {
		t.Errorf("the next one after %s, %v", got, s.Err())
	}
	begun := make(chan struct{})
	s = newService(t, ServiceConfig{Run: func(ctx context.Context) (bool, error) { close(begun); return hangs(ctx) }})
	s.Start(t.Context())
	<-begun
	for range 2 {
		if err := s.Stop(t.Context()); err != nil || s.Err() != nil {
			t.Errorf("stopped with %v, %v", err, s.Err())
		}
	}
	deaf := make(chan struct{})
	begun = make(chan struct{})
	s = newService(t, ServiceConfig{Run: func(context.Context) (bool, error) { close(begun); <-deaf; return false, nil }})
	s.Start(t.Context())
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the stop of one that does not listen: %v", err)
	}
	close(deaf)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNewService_refuses(t *testing.T) {
	t.Parallel()
	if _, err := NewService(ServiceConfig{Name: "work", Log: quietLog, Every: 1, Again: 1, Timeout: 1}); err == nil {
		t.Error("a service without work is accepted")
	}
}
