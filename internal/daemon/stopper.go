package daemon

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// DefaultStopWithin bounds a stop where no other bound is given.
const DefaultStopWithin = 5 * time.Second

// Stopper stops the parts of a process in reverse order of their start. It is
// safe for concurrent use.
type Stopper struct {
	mu    sync.Mutex
	parts []part
	begun bool
	done  chan struct{} // closed once all is stopped and err is set
	err   error
}

type part struct {
	name string
	stop func(context.Context) error
}

// NewStopper returns a Stopper of nothing.
func NewStopper() *Stopper { return &Stopper{done: make(chan struct{})} }

// Add registers how the part called name is stopped. stop must be bounded by
// its context. Parts added after Stop has begun are not stopped.
func (s *Stopper) Add(name string, stop func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, part{name, stop})
}

// Stop stops all parts, the last added first, and joins their errors with their
// names. It takes no longer than ctx allows, or DefaultStopWithin where ctx has
// no deadline. A part that hangs is left behind with time kept for the others: a
// tenth of the whole for each, as far as there is any. Calling Stop again waits
// for the first call, as long as its own ctx allows, and returns the same error.
func (s *Stopper) Stop(ctx context.Context) error {
	s.mu.Lock()
	parts, begun := s.parts, s.begun
	s.begun = true
	s.mu.Unlock()
	if !begun {
		s.err = stopAll(ctx, parts)
		close(s.done)
		return s.err
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the stop under way: %w", ctx.Err())
	}
}

func stopAll(ctx context.Context, parts []part) error {
	if _, bounded := ctx.Deadline(); !bounded {
		bound, release := context.WithTimeout(ctx, DefaultStopWithin)
		defer release()
		ctx = bound
	}
	end, _ := ctx.Deadline()
	whole := time.Until(end)

	var faults []error
	for left, current := range slices.Backward(parts) {
		remaining := max(time.Until(end), 0)
		kept := min(time.Duration(left)*(whole/10), remaining/2)
		if err := current.stopWithin(ctx, remaining-kept); err != nil {
			faults = append(faults, fmt.Errorf("stop %s: %w", current.name, err))
		}
	}
	return errors.Join(faults...)
}

// stopWithin calls the stop of a part, and leaves it running when the time is
// up. A panic in it is an error like any other: the parts below must be stopped.
func (p part) stopWithin(ctx context.Context, bound time.Duration) error {
	ctx, release := context.WithTimeout(ctx, bound)
	defer release()
	stopped := make(chan error, 1)
	go func() {
		defer func() {
			if reason := recover(); reason != nil {
				stopped <- fmt.Errorf("panic: %v: %s", reason, debug.Stack())
			}
		}()
		stopped <- p.stop(ctx)
	}()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	// A stop that heeds its context ends at the same moment: its own error says more.
	grace := time.NewTimer(bound/20 + 10*time.Millisecond)
	defer grace.Stop()
	select {
	case err := <-stopped:
		return err
	case <-grace.C:
		return fmt.Errorf("still running after %s", bound.Round(time.Millisecond))
	}
}
