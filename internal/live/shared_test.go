package live

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody is given an answer that was asked for before he came, and yet the
// question is asked much less often than there are askers.
func TestSharedAnswersAreFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			s      shared[int, time.Time]
			asked  atomic.Int64
			asking sync.WaitGroup
		)
		ask := func(context.Context) (time.Time, error) {
			asked.Add(1)
			begun := time.Now()
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the clock is synctest's
			return begun, nil
		}
		const askers, turns = 8, 100
		for i := range askers {
			asking.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond) //nolint:forbidigo // the clock is synctest's
				for range turns {
					came := time.Now()
					begun, err := s.do(t.Context(), 1, ask)
					if err != nil || begun.Before(came) {
						t.Errorf("who came at %s was given an answer of %s (%v)", came, begun, err)
					}
					if waited := time.Since(came); waited > 20*time.Millisecond {
						t.Errorf("waited %s, longer than two questions", waited)
					}
					time.Sleep(time.Duration(1+i) * time.Millisecond) //nolint:forbidigo // the clock is synctest's
				}
			})
		}
		asking.Wait()
		if n := asked.Load(); n >= askers*turns/2 {
			t.Errorf("%d questions for %d askers", n, askers*turns)
		}
		synctest.Wait()
		if len(s.byKey) != 0 {
			t.Errorf("%d rounds are left", len(s.byKey))
		}
	})
}

// Different questions do not wait for each other.
func TestSharedByKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			s      shared[int, int]
			asking sync.WaitGroup
		)
		begun := time.Now()
		for key := range 5 {
			asking.Go(func() {
				got, err := s.do(t.Context(), key, func(context.Context) (int, error) {
					time.Sleep(time.Second) //nolint:forbidigo // the clock is synctest's
					return key, nil
				})
				if got != key || err != nil {
					t.Errorf("key %d: %d, %v", key, got, err)
				}
			})
		}
		asking.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// Who leaves takes nothing from the others; a round that all have left before
// it began is not begun.
func TestSharedLeaving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			s     shared[int, int]
			asked atomic.Int64
		)
		ask := func(ctx context.Context) (int, error) {
			asked.Add(1)
			time.Sleep(time.Second) //nolint:forbidigo // the clock is synctest's
			return 1, ctx.Err()
		}
		gone := errors.New("gone")
		leaving, leave := context.WithCancelCause(t.Context())
		results := make(chan error, 3)
		go func() { _, err := s.do(leaving, 1, ask); results <- err }()
		synctest.Wait()
		go func() { _, err := s.do(leaving, 1, ask); results <- err }()
		synctest.Wait()
		leave(gone)
		for range 2 {
			if err := <-results; !errors.Is(err, gone) {
				t.Errorf("who left: %v", err)
			}
		}
		go func() { _, err := s.do(t.Context(), 1, ask); results <- err }() // takes the place of the one behind
		if err := <-results; err != nil || asked.Load() != 2 {
			t.Errorf("who stayed: %v after %d questions", err, asked.Load())
		}

		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		go func() { _, err := s.do(t.Context(), 1, ask); results <- err }()
		synctest.Wait()
		if _, err := s.do(late, 1, ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("late: %v", err)
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := asked.Load(); n != 3 || len(s.byKey) != 0 {
			t.Errorf("%d questions, %d rounds left", n, len(s.byKey))
		}
	})
}

func TestSharedPanic(t *testing.T) {
	t.Parallel()
	var s shared[int, int]
	if _, err := s.do(t.Context(), 1, func(context.Context) (int, error) { panic("canary") }); err == nil || !strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	if v, err := s.do(t.Context(), 1, func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("after it: %d, %v", v, err)
	}
}
