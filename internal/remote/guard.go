package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgam/pgam/internal/target"
)

// What one connection may cost us, whatever the server sends.
const (
	// startBytes are read until the server is ready: certificates, parameters and
	// notices of a start come to a few kilobytes.
	startBytes = 512 << 10
	// answerBytes are read from one ReadyForQuery to the next.
	answerBytes = 32 << 20
	// freeBytes of an answer are not counted against what all servers share.
	freeBytes = 1 << 20
)

// What a server is waited for that has taken the connection but is not ready. A
// process that waits for a lock on a catalog does not notice that its client
// has gone: so the socket is kept, and no other start is made beside it. Before
// it lets us in the server gives up by itself, after authentication_timeout.
const (
	admitWithin = 2 * time.Minute
	readyWithin = time.Hour
)

// maxHashing is how many passwords are hashed at a time.
const maxHashing = 2

// ErrOversized says that a server sends more than is read of a start or of an
// answer; Classify has it as Oversized.
var ErrOversized = errors.New("the server sends more than is read")

// ErrHeld says that a server has taken a connection and does not get ready.
var ErrHeld = fmt.Errorf("the server has accepted the connection and is not ready: %w", context.DeadlineExceeded)

// errDowngrade says that a server shows no TLS that has had it before.
var errDowngrade = errors.New("the server offers no TLS, but has had it before")

// errUnguarded says that somebody else dialled: a fault of ours.
var errUnguarded = errors.New("the connection is not guarded")

// Guard bounds what all servers of a process may cost it together, and
// remembers which of them have had TLS. It is safe for concurrent use.
type Guard struct {
	most    int64
	held    atomic.Int64 // bytes of answers that are being read
	hashing chan struct{}

	mu     sync.Mutex
	hadTLS map[string]bool // by address
}

// NewGuard makes a Guard that has answers longer than a megabyte take at most so
// many bytes together; an answer that finds no room fails.
func NewGuard(bytes int64) *Guard {
	return &Guard{most: bytes, hashing: make(chan struct{}, maxHashing), hadTLS: make(map[string]bool)}
}

func (g *Guard) take(n int64) bool {
	if g.held.Add(n) <= g.most {
		return true
	}
	g.held.Add(-n)
	return false
}

// place names where a server is for the memory of TLS.
func place(t target.Target) string {
	through := ""
	if t.Shell.Tunnel {
		through = net.JoinHostPort(t.ShellHost(), strconv.Itoa(t.Shell.Port))
	}
	return net.JoinHostPort(t.Endpoint.Host, strconv.Itoa(t.Endpoint.Port)) + " " + through
}

// remembers reports whether the server has had TLS, where that is expected of
// it from then on: TLSDisable and TLSAllow do without.
func (g *Guard) remembers(t target.Target) bool {
	if t.Endpoint.TLS == target.TLSDisable || t.Endpoint.TLS == target.TLSAllow {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hadTLS[place(t)]
}

func (g *Guard) remember(t target.Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hadTLS[place(t)] = true
}

// over puts the guard over the connections that cfg makes.
func (g *Guard) over(t target.Target, lim Limits, cfg *pgconn.Config) {
	dial, raw, prepared := cfg.DialFunc, cfg.Password, preparedPassword(cfg.Password)
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if lim.Turn != nil {
			select {
			case lim.Turn <- struct{}{}:
			case <-ctx.Done():
				return nil, fmt.Errorf("%w: another connection waits for it", ErrHeld)
			}
		}
		reach, cancel := context.WithTimeoutCause(ctx, lim.Connect, fmt.Errorf("connect to %s: deadline %s", t.Name, lim.Connect))
		defer cancel()
		conn, err := dial(reach, network, address)
		if err != nil {
			if lim.Turn != nil {
				<-lim.Turn
			}
			return nil, err
		}
		return g.guard(ctx, conn, t, lim), nil
	}
	cfg.AfterNetConnect = func(_ context.Context, attempt *pgconn.Config, conn net.Conn) (net.Conn, error) {
		c := guardedBy(conn)
		if c == nil {
			return conn, errUnguarded
		}
		_, c.tls = conn.(*tls.Conn)
		if !c.tls && g.remembers(t) {
			return conn, errDowngrade
		}
		// SCRAM, and no other method, uses the prepared password: which it will be,
		// only the server says.
		attempt.Password, c.cfg, c.prepared = raw, attempt, prepared
		c.waitAgain(admitWithin)
		return conn, nil
	}
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		c := guardedBy(w)
		return pgproto3.NewFrontend(&front{r: r, c: c}, frontWriter{w, c})
	}
	// Nothing is listened to: the driver would keep them all.
	cfg.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
}

// guardedBy gives what the driver was dialled, under TLS too.
func guardedBy(conn any) *guarded {
	if under, ok := conn.(*tls.Conn); ok {
		conn = under.NetConn()
	}
	c, _ := conn.(*guarded)
	return c
}

// guarded is a dialled connection that reads no more than it may.
type guarded struct {
	net.Conn
	g    *Guard
	t    target.Target
	lim  Limits
	ctx  context.Context //nolint:containedctx // Of the attempt: ends the wait for a turn to hash.
	gone chan struct{}   // closed by Close

	// Set before the first message.
	tls      bool
	cfg      *pgconn.Config // of this attempt
	prepared string         // the password for SCRAM

	mu      sync.Mutex
	ready   bool // the start is over
	answers int  // that have ended, the start among them
	used    int64
	held    int64 // of used, taken from the guard
	hashing bool
	turn    bool  // to start
	fault   error // why it was closed by us
	closed  bool
	start   *time.Timer // ends a start; nil once it is over
}

func (g *Guard) guard(ctx context.Context, conn net.Conn, t target.Target, lim Limits) *guarded {
	c := &guarded{Conn: conn, g: g, t: t, lim: lim, ctx: ctx, gone: make(chan struct{}), turn: lim.Turn != nil}
	c.start = time.AfterFunc(lim.Connect, func() { _ = c.fail(ErrHeld) })
	return c
}

// Read implements net.Conn. Bytes are counted below TLS and below whatever the
// driver reads ahead.
func (c *guarded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.used += int64(n)
	most, what := int64(startBytes), "of a start"
	if c.answers > 1 { // the first question, how the session is, belongs to the start
		most, what = c.lim.answer(), "of an answer"
	}
	var over error
	switch more := c.used - freeBytes - c.held; {
	case c.fault != nil:
		over = c.fault
	case c.used > most:
		over = fmt.Errorf("%w: more than %d bytes %s", ErrOversized, most, what)
	case c.ready && more > 0 && c.lim.Answer >= 0:
		if more = max(more, 256<<10); c.g.take(more) {
			c.held += more
		} else {
			over = fmt.Errorf("%w: the long answers that are being read now come to more than %d bytes", ErrOversized, c.g.most)
		}
	}
	c.mu.Unlock()
	if over != nil {
		return 0, c.fail(over)
	}
	return n, err
}

// Close implements net.Conn.
func (c *guarded) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.gone)
	}
	c.settle()
	c.started()
	c.mu.Unlock()
	return c.Conn.Close()
}

// fail closes the connection for a reason that its reader is told.
func (c *guarded) fail(why error) error {
	c.mu.Lock()
	if c.fault == nil {
		c.fault = why
	}
	why = c.fault
	c.mu.Unlock()
	_ = c.Close()
	return why
}

// settle gives back what is held of the guard. The mutex is held.
func (c *guarded) settle() {
	c.g.held.Add(-c.held)
	c.used, c.held = 0, 0
	c.hashed()
}

// started ends the start, whatever came of it. The mutex is held.
func (c *guarded) started() {
	c.start.Stop()
	if c.turn {
		c.turn = false
		<-c.lim.Turn
	}
}

// hashed ends the turn to hash. The mutex is held.
func (c *guarded) hashed() {
	if c.hashing {
		c.hashing = false
		<-c.g.hashing
	}
}

// waitAgain gives a start more time, where it is to be kept.
func (c *guarded) waitAgain(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lim.Hold && !c.ready && !c.closed && c.start.Stop() {
		c.start.Reset(d)
	}
}

// answered begins the next answer: the server is ready.
func (c *guarded) answered() {
	c.mu.Lock()
	first := !c.ready
	c.ready = true
	c.answers++
	c.started()
	c.settle()
	c.mu.Unlock()
	if first && c.tls {
		c.g.remember(c.t)
	}
}

// awaitTurn waits until a password may be hashed.
func (c *guarded) awaitTurn() error {
	select {
	case c.g.hashing <- struct{}{}:
	case <-c.ctx.Done():
		return endedBy(c.ctx, c.ctx.Err())
	case <-c.gone:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fault != nil {
			return c.fault
		}
		return net.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hashing = true
	if c.closed {
		c.hashed()
	}
	return nil
}

// answer gives how many bytes of an answer are read.
func (lim Limits) answer() int64 {
	switch {
	case lim.Answer < 0:
		return math.MaxInt64
	case lim.Answer == 0:
		return answerBytes
	}
	return lim.Answer
}

// frontWriter is what the driver writes to: with its proof the turn to hash is
// over.
type frontWriter struct {
	io.Writer
	c *guarded
}

// Write implements io.Writer.
func (w frontWriter) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	w.c.hashed()
	w.c.mu.Unlock()
	return w.Writer.Write(p)
}

// Bounds of single messages, by type; a row may hold a statement, which
// PostgreSQL bounds to a megabyte.
const (
	maxMessageBytes = 4 << 20
	maxErrorBytes   = 64 << 10
	maxStatusBytes  = 8 << 10
	maxAuthBytes    = 16 << 10
	messageHead     = 5 // type and length
	// maxStatuses is how many parameters a server may report: PostgreSQL 18
	// reports sixteen.
	maxStatuses = 100
)

// maxMessage gives how long the body of a message of this type may be.
func maxMessage(kind byte) int {
	switch kind {
	case 'E', 'N':
		return maxErrorBytes
	case 'S':
		return maxStatusBytes
	case 'R', 'K', 'v':
		return maxAuthBytes
	}
	return maxMessageBytes
}

// front reads the server's messages for the driver, without TLS, and ends the
// connection at one that must not reach it.
type front struct {
	r     io.Reader
	c     *guarded
	fault error

	head   [messageHead]byte
	have   int    // bytes of head
	left   int    // bytes to come of the body
	body   []byte // of a message that is looked at
	look   bool
	status map[string]struct{} // parameters the server has reported
}

// Read implements io.Reader.
func (f *front) Read(p []byte) (int, error) {
	if f.fault != nil {
		return 0, f.fault
	}
	n, err := f.r.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		var wrong error
		if rest, wrong = f.follow(rest); wrong != nil {
			f.fault = f.c.fail(wrong)
			return 0, f.fault
		}
	}
	return n, err
}

// follow goes on by what belongs to one message.
func (f *front) follow(b []byte) (rest []byte, err error) {
	if f.have < len(f.head) {
		n := copy(f.head[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < len(f.head) {
			return b, nil
		}
		length := uint32(f.head[1])<<24 | uint32(f.head[2])<<16 | uint32(f.head[3])<<8 | uint32(f.head[4])
		most := maxMessage(f.head[0])
		if length < 4 || int64(length)-4 > int64(most) {
			return nil, fmt.Errorf("%w: a message of type %q and of %d bytes, at most %d are read", ErrOversized, f.head[0], int64(length)-4, most)
		}
		f.left, f.body = int(length)-4, f.body[:0]
		f.look = f.head[0] == 'R' || f.head[0] == 'S'
	}
	n := min(f.left, len(b))
	if f.look {
		f.body = append(f.body, b[:n]...)
	}
	f.left -= n
	b = b[n:]
	if f.left > 0 {
		return b, nil
	}
	f.have = 0
	switch f.head[0] {
	case 'R':
		return b, f.authentication()
	case 'S':
		return b, f.parameter()
	case 'Z':
		f.c.answered()
	}
	return b, nil
}

// parameter counts the parameters that are reported: the driver keeps each.
func (f *front) parameter() error {
	name, _, _ := strings.Cut(string(f.body), "\x00")
	if f.status == nil {
		f.status = make(map[string]struct{})
	}
	f.status[name] = struct{}{}
	if len(f.status) > maxStatuses {
		return fmt.Errorf("%w: it reports more than %d parameters", ErrOversized, maxStatuses)
	}
	return nil
}
