package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// crowd has callers wait in a line, and tells in which order they got a slot.
type crowd struct {
	line *line
	got  chan string
	busy chan string
}

func newCrowd(room int) crowd {
	return crowd{newLine(1, room, time.Hour), make(chan string, 1000), make(chan string, 1000)}
}

// join has a caller wait, until it is in the line or sent away.
func (c crowd) join(ctx context.Context, name string, from Origin) {
	go func() {
		switch _, err := c.line.acquire(ctx, from); {
		case err == nil:
			c.got <- name
		case errors.Is(err, ErrBusy):
			c.busy <- name
		}
	}()
	synctest.Wait()
}

// next gives up a slot and tells who got it.
func (c crowd) next(t *testing.T) string {
	t.Helper()
	c.line.release()
	synctest.Wait()
	select {
	case name := <-c.got:
		return name
	default:
		return ""
	}
}

// Fourteen networks that fill the line, as often as they like, keep nobody else
// out of it: a newcomer is served after one turn of each of them at most.
func TestACrowdKeepsNobodyOutOfTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const networks, room = 14, 64
		c := newCrowd(room)
		c.join(t.Context(), "holder", Origin{})
		<-c.got
		for i := range 28 {
			for n := range networks {
				c.join(t.Context(), fmt.Sprintf("crowd %d %d", n, i), Origin{Network: fmt.Sprint(n)})
			}
		}
		if c.line.waiting != room || len(c.busy) != 28*networks-room {
			t.Fatalf("%d wait, %d were sent away", c.line.waiting, len(c.busy))
		}
		c.join(t.Context(), "honest", Origin{Network: "honest"})
		if c.line.waiting != room {
			t.Errorf("%d wait", c.line.waiting)
		}
		for turn := 1; ; turn++ {
			if c.next(t) == "honest" {
				break
			}
			if turn > networks {
				t.Fatalf("not served in %d turns", turn)
			}
		}
		// One that is known goes before all others, even if they are many.
		for i := range 100 {
			c.join(t.Context(), "botnet", Origin{Network: fmt.Sprintf("net %d", i)})
		}
		c.join(t.Context(), "known", Origin{Network: "home", Known: true})
		if first, second := c.next(t), c.next(t); first != "known" && second != "known" {
			t.Errorf("served first: %q, %q", first, second)
		}
		for c.next(t) != "" {
		}
		if c.line.waiting != 0 || c.line.free != 1 {
			t.Errorf("at the end %d wait and %d slots are free", c.line.waiting, c.line.free)
		}
	})
}

// Those that are known leave every fourth turn to the others.
func TestTheKnownDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(64)
		c.join(t.Context(), "holder", Origin{})
		<-c.got
		for range 20 {
			c.join(t.Context(), "known", Origin{Network: "office", Known: true})
		}
		c.join(t.Context(), "new", Origin{Network: "train"})
		for turn := 1; c.next(t) != "new"; turn++ {
			if turn > knownTurns+1 {
				t.Fatalf("not served in %d turns", turn)
			}
		}
		for c.next(t) != "" {
		}
	})
}

// Whoever leaves the line takes nothing along.
func TestLeavingTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(4)
		c.join(t.Context(), "holder", Origin{})
		<-c.got
		ctx, leave := context.WithCancel(t.Context())
		c.join(ctx, "gone", Origin{Network: "a"})
		c.join(t.Context(), "patient", Origin{Network: "a"})
		leave()
		synctest.Wait()
		if got := c.next(t); got != "patient" {
			t.Errorf("served: %q", got)
		}
		c.join(t.Context(), "late", Origin{Network: "b"})
		<-time.After(time.Hour) // of the test's own clock
		synctest.Wait()
		if len(c.busy) != 1 || c.line.waiting != 0 {
			t.Errorf("%d were told to try again, %d wait", len(c.busy), c.line.waiting)
		}
		if got := c.next(t); got != "" || c.line.free != 1 {
			t.Errorf("served: %q, %d slots are free", got, c.line.free)
		}
	})
}
