package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestStopper_LastInFirstOut(t *testing.T) {
	t.Parallel()
	stopper := NewStopper()
	var order []string
	broken := errors.New("broken")
	for _, name := range []string{"store", "journal", "jobs", "api"} {
		stopper.Add(name, func(context.Context) error {
			order = append(order, name)
			switch name {
			case "jobs":
				return broken
			case "journal":
				panic("canary")
			}
			return nil
		})
	}
	err := stopper.Stop(t.Context())
	if !slices.Equal(order, []string{"api", "jobs", "journal", "store"}) {
		t.Errorf("order %v", order)
	}
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "stop jobs: broken\nstop journal: panic: canary") {
		t.Errorf("error: %v", err)
	}
	if again := stopper.Stop(t.Context()); again == nil || again.Error() != err.Error() || len(order) != 4 {
		t.Errorf("stopped again: %v, %v", again, order)
	}
}

func TestStopper_Bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stopper := NewStopper()
		var mu sync.Mutex
		left := make(map[string]time.Duration)
		add := func(name string, hangs, heeds bool) {
			stopper.Add(name, func(ctx context.Context) error {
				end, _ := ctx.Deadline()
				mu.Lock()
				left[name] = time.Until(end)
				mu.Unlock()
				switch {
				case hangs && heeds:
					<-ctx.Done()
					return ctx.Err()
				case hangs:
					<-release
				}
				return nil
			})
		}
		add("store", false, true)
		add("journal", true, true)
		add("jobs", true, false)
		add("api", true, false)
		begun := time.Now()
		err := stopper.Stop(context.Background())
		took := time.Since(begun)
		if took > DefaultStopWithin {
			t.Errorf("took %s", took)
		}
		mu.Lock()
		defer mu.Unlock()
		for name, remaining := range left {
			if remaining < 100*time.Millisecond {
				t.Errorf("%s had %s", name, remaining)
			}
		}
		if err == nil || len(left) != 4 || strings.Contains(err.Error(), "stop store") || !errors.Is(err, context.DeadlineExceeded) ||
			strings.Count(err.Error(), "still running after") != 2 {
			t.Errorf("stopped %v: %v", left, err)
		}
		close(release)
	})
}

func TestStopper_ConcurrentStopsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopper, broken := NewStopper(), errors.New("broken")
		calls := 0
		stopper.Add("part", func(context.Context) error {
			calls++
			<-time.After(time.Second)
			return broken
		})
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if err := stopper.Stop(t.Context()); !errors.Is(err, broken) {
					t.Errorf("error: %v", err)
				}
			})
		}
		callers.Wait()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}
