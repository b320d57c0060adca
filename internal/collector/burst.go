package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Burst says when a server is looked at in full detail: thresholds for servers
// that have none of their own, 0 for never.
type Burst struct {
	Active             int // sessions that are active
	LockWaits          int // sessions that wait for a lock
	ConnectionsPercent int // of max_connections
	// Length is how long full detail is taken, Pause how long after that it does
	// not begin again.
	Length, Pause time.Duration
}

// never reports whether no server takes full detail unless it says so itself.
func (b Burst) never() bool { return b.Active == 0 && b.LockWaits == 0 && b.ConnectionsPercent == 0 }

func (b Burst) validate() error {
	if b.Active < 0 || b.LockWaits < 0 || b.ConnectionsPercent < 0 || b.ConnectionsPercent > 100 || b.Length < 0 || b.Pause < 0 {
		return errors.New("collector: a threshold, length or pause of bursts is out of range")
	}
	if b.Length == 0 && !b.never() {
		return errors.New("collector: bursts have no length")
	}
	return nil
}

// of gives what is in force for a server.
func (b Burst) of(own target.Burst) Burst {
	for _, f := range []struct {
		own *int
		to  *int
	}{{own.Active, &b.Active}, {own.LockWaits, &b.LockWaits}, {own.ConnectionsPercent, &b.ConnectionsPercent}} {
		if f.own != nil {
			*f.to = *f.own
		}
	}
	return b
}

// burst is a server's full detail: on for a while after a threshold was passed,
// then off at least for a pause. Its instants have monotonic readings, so that a
// clock that is set neither prolongs nor ends it.
type burst struct {
	on             bool
	until          time.Time
	notBefore      time.Time
	ticks          int
	maxConnections int32
}

// crowdFrom is from how many connections on the next visit asks whose they are.
func (b *burst) crowdFrom(limits Burst, now time.Time) int32 {
	if b.on || limits.ConnectionsPercent == 0 || b.maxConnections <= 0 || now.Before(b.notBefore) {
		return 0
	}
	return max(int32((int64(b.maxConnections)*int64(limits.ConnectionsPercent)+99)/100), 1)
}

// follow looks at what a visit yielded, and gives the event if a burst begins
// or ends with it.
func (b *burst) follow(v *sample.Visit, limits Burst, now time.Time) []sample.Event {
	if v.Load.MaxConnections > 0 {
		b.maxConnections = v.Load.MaxConnections
	}
	if b.on {
		b.ticks++
		if now.Before(b.until) {
			return nil
		}
		b.on, b.notBefore = false, now.Add(limits.Pause)
		return []sample.Event{{
			At: v.Tick.Started, Kind: sample.EventBurstEnded, New: strconv.Itoa(b.ticks), Detail: fmt.Sprintf("%d ticks were taken in full detail", b.ticks),
		}}
	}
	if !v.Tick.Outcome.Answered() || now.Before(b.notBefore) || limits.Length <= 0 {
		return nil
	}
	subject, value, detail := b.passed(&v.Load, limits)
	if subject == "" {
		return nil
	}
	b.on, b.until, b.ticks = true, now.Add(limits.Length), 0
	return []sample.Event{{
		At: v.Tick.Started, Kind: sample.EventBurstStarted, Subject: subject, New: strconv.Itoa(int(value)), Detail: detail + "; full detail for " + limits.Length.String(),
	}}
}

// followBurst notes what the visit says about bursts, before it is recorded.
func (w *watch) followBurst(ctx context.Context, t target.Target) {
	// A visit that yielded nothing has no detail.
	w.tick.Burst = w.burst.on && w.tick.Outcome.Answered()
	events := w.burst.follow(&w.visit, w.c.burstLimits().of(t.Burst), time.Now())
	w.visit.Events = append(w.visit.Events, events...)
	for _, e := range events {
		if e.Kind == sample.EventBurstStarted {
			w.c.cfg.Log.InfoContext(ctx, "server is looked at in full detail", "server", t.Name, "because", e.Detail)
		}
	}
}

// passed gives the first threshold that was passed, its value, and all of them
// in words; an empty subject for none.
func (b *burst) passed(l *sample.Load, limits Burst) (subject string, value int32, detail string) {
	var said []string
	pass := func(name string, v int32, text string) {
		if subject == "" {
			subject, value = name, v
		}
		said = append(said, text)
	}
	if limits.LockWaits > 0 && int(l.LockWaits) >= limits.LockWaits {
		pass("lock_waits", l.LockWaits, fmt.Sprintf("%d sessions wait for a lock, limit %d", l.LockWaits, limits.LockWaits))
	}
	if limits.Active > 0 && int(l.Active) >= limits.Active {
		pass("active_sessions", l.Active, fmt.Sprintf("%d active sessions, limit %d", l.Active, limits.Active))
	}
	if limit := limits.ConnectionsPercent; limit > 0 && b.maxConnections > 0 && int64(l.Connections)*100 >= int64(limit)*int64(b.maxConnections) {
		text := fmt.Sprintf("%d of %d connections, limit %d %%", l.Connections, b.maxConnections, limit)
		pass("connections", l.Connections, text+crowd(l.Crowd))
	}
	return subject, value, strings.Join(said, "; ")
}

// crowd says who holds most connections.
func crowd(all []sample.Crowd) string {
	said := make([]string, 0, len(all))
	for _, c := range all {
		said = append(said, fmt.Sprintf("%d user %s application %s", c.Connections, cmp.Or(c.User, "?"), cmp.Or(c.Application, "?")))
	}
	if len(said) == 0 {
		return ""
	}
	return ", most: " + strings.Join(said, ", ")
}
