package collector

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// connection is the way to one server: one connection for ticks, at most one
// attempt to make it, pauses between attempts that fail, and the pid of the
// second connection while sizes are read.
type connection struct {
	c      *Collector
	server target.ID

	mu         sync.Mutex
	conn       Conn
	since      time.Time // conn is there
	broken     int       // connections in a row that broke before they had proved themselves
	inUse      bool
	generation int // grows when the way changes
	giveUp     context.CancelFunc
	dialing    chan struct{} // closed when the attempt under way ended; nil for none
	begun      time.Time     // the attempt under way was; zero: it waits for its turn
	notBefore  time.Time     // of the next attempt
	reason     sample.Reason // of the last attempt
	fault      error         // of the last attempt
	mute       int           // attempts in a row that connected to something that did not answer
	pauses     backoff.ExponentialBackOff
	slow       uint32
}

// The pauses between attempts to connect.
const (
	firstPause = time.Second
	maxPause   = time.Minute
	// quickPause is the longest pause where an attempt costs the server
	// nothing: nobody listens, or it says that it is starting.
	quickPause = 5 * time.Second
	// proven is how long a connection must have stood for the next one to be made
	// at once, and after the shortest pause.
	proven = time.Minute
	// heldAfter is when an attempt is taken for one that the server has accepted
	// and does not finish. It goes on, alone, as long as the dialer lets it: a
	// start that is given up leaves a process on the server, which waits for a
	// lock on a catalog and does not notice.
	heldAfter = 10 * time.Second
	// muteLimit attempts that were accepted and never answered open the
	// breaker.
	muteLimit = 3
)

// errHeld says that an attempt to connect goes on and on.
var errHeld = errors.New("the server has accepted the connection and is not ready: a lock on a system catalog may be in the way")

func (l *connection) init(c *Collector, server target.ID) {
	l.c, l.server = c, server
	l.pauses = backoff.ExponentialBackOff{InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: maxPause}
	l.pauses.Reset()
}

// acquire gives the connection, waiting for an attempt under way as long as
// ctx allows; nil and the reason when there is none. The caller releases it.
func (l *connection) acquire(ctx context.Context, t target.Target) (Conn, sample.Reason) {
	l.mu.Lock()
	if l.conn == nil && l.dialing == nil && !time.Now().Before(l.notBefore) {
		l.dialing = make(chan struct{})
		var attempt context.Context
		attempt, l.giveUp = context.WithCancel(l.c.run)
		l.c.visits.Add(1)
		go l.dial(attempt, t, l.generation, l.dialing)
	}
	dialing := l.dialing
	l.mu.Unlock()
	if dialing != nil {
		select {
		case <-dialing:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.conn != nil:
	case l.held():
		l.reason, l.fault = sample.Timeout, errHeld
		return nil, l.reason
	case l.reason == sample.None:
		return nil, sample.Connecting
	default:
		return nil, l.reason
	}
	l.inUse = true
	return l.conn, sample.None
}

// release ends the use of conn, which is closed if it broke or the way to the
// server changed meanwhile. reason and fault are what came of its use: where we
// broke it off they are told until there is another connection.
func (l *connection) release(conn Conn, reason sample.Reason, fault error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inUse = false
	if l.conn == conn && conn.Alive() {
		return
	}
	if l.conn == conn {
		if reason != sample.Oversized && reason != sample.Malformed && reason != sample.Timeout {
			reason, fault = sample.ConnectionLost, nil
		}
		l.conn, l.reason, l.fault, l.notBefore = nil, reason, fault, time.Time{}
		if time.Since(l.since) >= proven {
			l.broken = 0
			l.pauses.Reset()
		}
		if l.broken++; l.broken > 1 {
			l.notBefore = time.Now().Add(l.pauses.NextBackOff())
		}
	}
	l.close(conn)
}

// held reports whether the attempt under way is one that the server does not
// finish. The lock is held.
func (l *connection) held() bool {
	return l.dialing != nil && !l.begun.IsZero() && time.Since(l.begun) >= heldAfter
}

// close ends a connection without waiting for it.
func (l *connection) close(conn Conn) {
	l.c.closes.Go(func() { l.c.guard(l.c.run, "close", l.server, conn.Close) })
}

// dial makes one attempt.
func (l *connection) dial(ctx context.Context, t target.Target, generation int, done chan struct{}) {
	defer l.c.visits.Done()
	defer close(done)
	select {
	case l.c.dialing <- struct{}{}:
	case <-ctx.Done():
		l.end(generation, nil, sample.NotRunning, nil)
		return
	}
	l.c.counts.dials.Add(1)
	l.mu.Lock()
	if generation == l.generation {
		l.begun = time.Now()
	}
	l.mu.Unlock()
	// One that is held takes no other server's turn.
	turn := sync.OnceFunc(func() { <-l.c.dialing })
	held := time.AfterFunc(heldAfter, turn)
	conn, reason, err := l.c.dial(ctx, t, ForTicks)
	held.Stop()
	turn()
	l.end(generation, conn, reason, err)
	if err != nil && ctx.Err() == nil {
		l.c.cfg.Log.DebugContext(ctx, "cannot connect", "server", t.Name, "reason", reason.String(), "error", err)
	}
}

func (l *connection) end(generation int, conn Conn, reason sample.Reason, fault error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		if conn != nil {
			l.close(conn)
		}
		return
	}
	l.giveUp()
	l.dialing, l.begun = nil, time.Time{}
	l.reason, l.fault = reason, fault
	if conn != nil {
		l.conn, l.since, l.mute = conn, time.Now(), 0
		if l.broken == 0 {
			l.pauses.Reset()
		}
		return
	}
	pause := l.pauses.NextBackOff()
	if reason != sample.Timeout {
		l.mute = 0
	} else if l.mute++; l.mute >= muteLimit {
		pause = maxPause
	}
	if reason == sample.Refused || reason == sample.StartingUp {
		pause = min(pause, quickPause)
	}
	l.notBefore = time.Now().Add(pause)
}

// reset forgets the connection and all failures: the way to the server
// changed, or nobody wants it.
func (l *connection) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	if l.conn != nil && !l.inUse {
		l.close(l.conn)
	}
	if l.dialing != nil {
		l.giveUp()
	}
	l.conn, l.dialing, l.begun, l.reason, l.fault, l.mute, l.broken, l.notBefore = nil, nil, time.Time{}, sample.None, nil, 0, 0, time.Time{}
	l.pauses.Reset()
}

// why gives the error of the last attempt to connect, nil if it succeeded.
func (l *connection) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

func (l *connection) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil
}

func (l *connection) slowPID() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slow
}

func (l *connection) setSlow(pid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = pid
}
