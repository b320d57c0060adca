package pgtest

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Rogue is somebody who listens where a PostgreSQL server is expected and speaks
// the protocol as a script says.
type Rogue struct {
	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	ended    bool
	running  sync.WaitGroup

	// Connections counts those who came, Received the bytes they sent.
	Connections, Received atomic.Int64
}

// NewRogue has script speak to each connection, which is closed when it returns.
// All of it ends with the test.
func NewRogue(tb testing.TB, script func(*RogueConn)) *Rogue {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		tb.Fatal(err)
	}
	r := &Rogue{listener: listener, conns: make(map[net.Conn]struct{})}
	tb.Cleanup(func() {
		_ = listener.Close()
		r.mu.Lock()
		r.ended = true
		for c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	r.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if !r.keep(conn) {
				return
			}
			r.Connections.Add(1)
			r.running.Go(func() {
				defer r.drop(conn)
				script(&RogueConn{Conn: conn, rogue: r})
			})
		}
	})

	return r
}

func (r *Rogue) keep(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		_ = conn.Close()

		return false
	}
	r.conns[conn] = struct{}{}

	return true
}

func (r *Rogue) drop(conn net.Conn) {
	_ = conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, conn)
}

// Cut ends the connections that there are.
func (r *Rogue) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close()
	}
}

// Host is where it listens.
func (r *Rogue) Host() string { return host }

// Port is where it listens.
func (r *Rogue) Port() int {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	n, _ := strconv.Atoi(port)

	return n
}

// RogueConn is a connection to a Rogue.
type RogueConn struct {
	net.Conn
	rogue *Rogue
}

// Read implements io.Reader, and counts.
func (c *RogueConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rogue.Received.Add(int64(n))

	return n, err
}

// The codes in the place of a version in the first message.
const (
	sslRequest    = 80877103
	cancelRequest = 80877102
)

// Startup reads the first message, after it has said no to TLS where that was
// asked for. The error is for who asks to cancel, or has gone.
func (c *RogueConn) Startup() error {
	for {
		code, _, err := c.first()
		switch {
		case err != nil:
			return err
		case code == cancelRequest:
			return errors.New("a request to cancel")
		case code != sslRequest:
			return nil
		}
		if _, err := c.Write([]byte{'N'}); err != nil {
			return err
		}
	}
}

// first reads a message that has no type.
func (c *RogueConn) first() (code uint32, raw []byte, err error) {
	raw = make([]byte, 8)
	if _, err := io.ReadFull(c, raw); err != nil {
		return 0, nil, err
	}
	rest := make([]byte, min(wire.BigEndian.Uint32(raw), 1<<16)-8)
	_, err = io.ReadFull(c, rest)

	return wire.BigEndian.Uint32(raw[4:]), append(raw, rest...), err
}

// Send sends one message.
func (c *RogueConn) Send(kind byte, body []byte) error {
	_, err := c.Write(Message(kind, body))

	return err
}

// Message gives a message of the protocol.
func Message(kind byte, body []byte) []byte {
	b := wire.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)) //nolint:gosec // a message of a test

	return append(b, body...)
}

// Ask asks for authentication: 0 is that there is no need.
func (c *RogueConn) Ask(method uint32, more ...byte) error {
	return c.Send('R', append(wire.BigEndian.AppendUint32(nil, method), more...))
}

// AskSCRAM asks for a proof of so many rounds and waits for it.
func (c *RogueConn) AskSCRAM(rounds int) error {
	if err := c.Ask(10, []byte("SCRAM-SHA-256\x00\x00")...); err != nil {
		return err
	}
	_, first, err := c.Receive()
	if err != nil {
		return err
	}
	_, nonce, _ := strings.Cut(string(first), "r=")
	if err := c.Ask(11, fmt.Appendf(nil, "r=%sROGUE,s=c2FsdHNhbHRzYWx0c2FsdA==,i=%d", nonce, rounds)...); err != nil {
		return err
	}
	_, _, err = c.Receive()

	return err
}

// Receive gives a message of the client.
func (c *RogueConn) Receive() (kind byte, body []byte, err error) { return readMessage(c) }

func readMessage(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, wire.BigEndian.Uint32(head[1:])-4)
	_, err = io.ReadFull(r, body)

	return head[0], body, err
}

// Columns gives the columns of a row's message, nil for null.
func Columns(body []byte) [][]byte {
	columns := make([][]byte, wire.BigEndian.Uint16(body))
	body = body[2:]
	for i := range columns {
		n := int32(wire.BigEndian.Uint32(body)) //nolint:gosec // two's complement: -1 is null
		body = body[4:]
		if n >= 0 {
			columns[i], body = body[:n], body[n:]
		}
	}

	return columns
}

// Row gives the body of a row's message.
func Row(columns [][]byte) []byte {
	b := wire.BigEndian.AppendUint16(nil, uint16(len(columns))) //nolint:gosec // a row of a test
	for _, column := range columns {
		n := uint32(len(column)) //nolint:gosec // a row of a test
		if column == nil {
			n = 1<<32 - 1
		}
		b = append(wire.BigEndian.AppendUint32(b, n), column...)
	}

	return b
}

// Flood stands before a server and passes everything, but for the answers that
// twist changes: it is given the name of the prepared statement that is being
// answered, a message of the answer, and where to send what it likes instead.
// False passes the message on.
func Flood(tb testing.TB, server *Server, twist func(statement string, kind byte, body []byte, to io.Writer) bool) *Rogue {
	tb.Helper()
	address := net.JoinHostPort(server.Host(), strconv.Itoa(server.Port()))

	return NewRogue(tb, func(c *RogueConn) {
		_, raw, err := c.first()
		if err != nil {
			return
		}
		far, err := new(net.Dialer).DialContext(tb.Context(), "tcp", address)
		if err != nil {
			return
		}
		defer func() { _ = far.Close() }()
		if _, err := far.Write(raw); err != nil {
			return
		}
		asked := make(chan string, 1<<16)
		c.rogue.running.Go(func() {
			defer func() { _ = far.Close() }()
			for {
				kind, body, err := c.Receive()
				if err != nil {
					return
				}
				if kind == 'B' { // portal, then statement
					names := bytes.SplitN(body, []byte{0}, 3)
					asked <- string(names[1])
				}
				if _, err := far.Write(Message(kind, body)); err != nil {
					return
				}
			}
		})
		statement := ""
		for {
			kind, body, err := readMessage(far)
			if err != nil {
				return
			}
			switch kind {
			case '2': // BindComplete
				statement = <-asked
			case 'Z':
				statement = ""
			}
			if twist(statement, kind, body, c) {
				continue
			}
			if err := c.Send(kind, body); err != nil {
				return
			}
		}
	})
}

// Pass passes everything between the client and a server, as it is.
func (c *RogueConn) Pass(server *Server) {
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", net.JoinHostPort(server.Host(), strconv.Itoa(server.Port())))
	if err != nil {
		return
	}
	c.rogue.running.Go(func() {
		_, _ = io.Copy(far, c)
		_ = far.Close()
	})
	_, _ = io.Copy(c, far)
}
