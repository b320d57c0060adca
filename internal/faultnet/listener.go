package faultnet

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// host is where all of it listens.
const host = "127.0.0.1"

// Listener is somebody who listens where a server is expected.
type Listener struct {
	tb      testing.TB
	script  func(*Conn)
	done    chan struct{} // closed when the test ends
	running sync.WaitGroup
	port    int // the same whenever it listens

	mu       sync.Mutex
	listener net.Listener // nil: nobody listens
	conns    map[net.Conn]struct{}

	// Connections counts those who came, Received the bytes they sent.
	Connections, Received atomic.Int64
}

// Listen has script speak to each connection, which is closed when it returns.
// Without a script nobody is ever answered.
func Listen(tb testing.TB, script func(*Conn)) *Listener {
	tb.Helper()
	if script == nil {
		script = func(c *Conn) { _, _ = io.Copy(io.Discard, c) }
	}
	l := newListener(tb, script)
	l.open()

	return l
}

func newListener(tb testing.TB, script func(*Conn)) *Listener {
	tb.Helper()
	l := &Listener{tb: tb, script: script, done: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	tb.Cleanup(func() {
		close(l.done)
		l.close()
		l.cut(false)
		l.running.Wait()
	})

	return l
}

// open listens, if it does not already; always at the same address.
func (l *Listener) open() {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		return
	}
	listener, err := new(net.ListenConfig).Listen(l.tb.Context(), "tcp", l.Address())
	if err != nil {
		l.tb.Fatal(err)
	}
	l.listener = listener
	if l.port == 0 {
		l.port = listener.Addr().(*net.TCPAddr).Port
	}
	l.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil || !l.keep(conn) {
				return
			}
			l.Connections.Add(1)
			l.running.Go(func() {
				defer l.drop(conn)
				l.script(&Conn{Conn: conn, listener: l})
			})
		}
	})
}

// close has nobody listen.
func (l *Listener) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
}

// keep notes a connection, to cut it later.
func (l *Listener) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		_ = conn.Close()

		return false
	default:
		l.conns[conn] = struct{}{}

		return true
	}
}

func (l *Listener) drop(conn net.Conn) {
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// cut ends the connections that there are.
func (l *Listener) cut(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		end(conn, reset)
	}
}

// end closes a connection. With reset the other side is told by RST, and what was
// not yet delivered is lost.
func end(conn net.Conn, reset bool) {
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Host is where it listens.
func (l *Listener) Host() string { return host }

// Port is where it listens.
func (l *Listener) Port() int { return l.port }

// Address is its host and port.
func (l *Listener) Address() string { return net.JoinHostPort(host, strconv.Itoa(l.port)) }

// FreePort gives a port of loopback that nobody listens on now.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l := Listen(tb, nil)
	l.close()

	return l.Port()
}
