package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/pgam/pgam/internal/target"
)

const (
	// cancelPatience is how long a question on a tunnel that has run out of time
	// waits for PostgreSQL to cancel it, before the connection is given up.
	cancelPatience = time.Second
	// closePatience is how long a closed tunnel may take to send what was
	// written before.
	closePatience = time.Second

	// The buffers of a tunnel: answers are larger than questions.
	upBufferBytes   = 4 << 10
	downBufferBytes = 16 << 10
)

// stepTunnel is the Step of an error on the way from the SSH host to
// PostgreSQL.
const stepTunnel = "open tunnel"

// errNoShells says that a tunnel is wanted where nothing can make one.
var errNoShells = fmt.Errorf("%w: a tunnel is set, but this program makes no SSH connections", target.ErrInvalid)

// DialContext connects through the host of a server to an address as the host
// sees it: network "tcp" and host:port, whose name is looked up there, or "unix"
// and the path of a socket. Unlike the library's connections this one keeps
// deadlines and knows its remote address.
func (s *Shells) DialContext(ctx context.Context, t target.Target, network, addr string) (net.Conn, error) {
	for first := true; ; first = false {
		l, err := s.acquire(ctx, t)
		if err != nil {
			return nil, err
		}
		conn, err := l.tunnel(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		s.release(l.link)
		if !l.reused || !first || !errors.Is(err, io.ErrUnexpectedEOF) || ctx.Err() != nil {
			return nil, &ShellError{Server: t.Name, Step: stepTunnel, Err: err}
		}
		// The connection had died since it was last used.
		s.retire(l.link)
	}
}

// tunnel opens a tunnel, which ends the caller's use of the link when it is
// closed.
func (l *link) tunnel(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := l.shells.step(ctx, "open a tunnel over the host of "+l.t.Name)
	defer cancel()
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled)
	running := l.shells.spawn(func() {
		conn, err := l.entry.client.Dial(network, addr)
		select {
		case done <- dialled{conn, err}:
		case <-ctx.Done(): // Nobody waits any more.
			if err == nil {
				_ = conn.Close()
			}
		}
	})
	if !running {
		return nil, ErrShellsClosed
	}
	select {
	case d := <-done:
		if d.err != nil {
			return nil, lost(d.err)
		}
		return l.bridge(d.conn, tunnelAddr{network: network, text: addr})
	case <-ctx.Done():
		return nil, endedBy(ctx, ctx.Err())
	}
}

// tunnelAddr is the far end of a tunnel: a name that only the host may know.
type tunnelAddr struct{ network, text string }

// Network implements net.Addr.
func (a tunnelAddr) Network() string { return a.network }

// String implements net.Addr.
func (a tunnelAddr) String() string { return a.text }

// tunnelConn is the near end of a tunnel.
type tunnelConn struct {
	net.Conn // one end of a pipe, for its deadlines
	far      tunnelAddr
	once     sync.Once
	closed   func()
}

// RemoteAddr is where the tunnel leads: a request to cancel goes there too.
func (c *tunnelConn) RemoteAddr() net.Addr { return c.far }

// Close implements net.Conn.
func (c *tunnelConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.closed)
	return err
}

// bridge puts a pipe, which keeps deadlines, before a channel, which does not.
// The pipe is unbuffered: what was written to it is in the hands of the channel
// when Close comes, and is sent before the channel ends.
func (l *link) bridge(channel net.Conn, far tunnelAddr) (net.Conn, error) {
	near, inner := net.Pipe()
	s := l.shells
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed.Err() != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("%w: the SSH connection has ended", io.ErrUnexpectedEOF)
	}
	l.tunnels[inner] = struct{}{}
	s.wg.Go(func() {
		_, _ = io.CopyBuffer(plainWriter{inner}, plainReader{channel}, make([]byte, downBufferBytes))
		_ = inner.Close()
		_ = channel.Close()
	})
	s.wg.Go(func() {
		_, _ = io.CopyBuffer(plainWriter{channel}, plainReader{inner}, make([]byte, upBufferBytes))
		_ = channel.Close()
		_ = inner.Close()
	})
	return &tunnelConn{Conn: near, far: far, closed: func() {
		// A host that takes nothing more must not keep what was written last.
		time.AfterFunc(closePatience, func() { _ = channel.Close() })
		s.mu.Lock()
		delete(l.tunnels, inner)
		s.mu.Unlock()
		s.release(l)
	}}, nil
}

// plainReader and plainWriter hide shortcuts that would not use the buffer.
type (
	plainReader struct{ io.Reader }
	plainWriter struct{ io.Writer }
)

// through has a connection to PostgreSQL go through the host of its server.
func (s *Shells) through(t target.Target, cfg *pgconn.Config) {
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return s.DialContext(ctx, t, network, addr)
	}
	// Names are looked up on the far side.
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	// A question that has run out of time is cancelled, which keeps the
	// connection: making one costs several round trips here.
	cfg.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pg, DeadlineDelay: cancelPatience}
	}
}
