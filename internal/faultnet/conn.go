package faultnet

import (
	"bytes"
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
)

// Conn is a connection of somebody who came, with what it takes to speak
// PostgreSQL's protocol to him.
type Conn struct {
	net.Conn
	listener *Listener
	passed   atomic.Int64 // by a Proxy, to the client
}

// Read implements io.Reader, and counts.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.listener.Received.Add(int64(n))

	return n, err
}

// The codes in the place of a version in the first message.
const (
	sslRequest    = 80877103
	cancelRequest = 80877102
)

// Startup reads the first message, after it has said no to TLS where that was
// asked for. The error is for who asks to cancel, or has gone.
func (c *Conn) Startup() error {
	code, _, err := c.startup()
	if code == cancelRequest {
		return errors.New("a request to cancel")
	}

	return err
}

// startup gives the first message but those that ask for TLS, and the code in it.
func (c *Conn) startup() (code uint32, raw []byte, err error) {
	for {
		raw = make([]byte, 8)
		if _, err := io.ReadFull(c, raw); err != nil {
			return 0, nil, err
		}
		if code = wire.BigEndian.Uint32(raw[4:]); code != sslRequest {
			raw = append(raw, make([]byte, min(wire.BigEndian.Uint32(raw), 1<<16)-8)...)
			_, err = io.ReadFull(c, raw[8:])

			return code, raw, err
		}
		if _, err := c.Write([]byte{'N'}); err != nil {
			return 0, nil, err
		}
	}
}

// Send sends one message.
func (c *Conn) Send(kind byte, body []byte) error {
	_, err := c.Write(Message(kind, body))

	return err
}

// Message gives a message of the protocol.
func Message(kind byte, body []byte) []byte {
	b := wire.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))

	return append(b, body...)
}

// Ask asks for authentication: 0 is that there is no need.
func (c *Conn) Ask(method uint32, more ...byte) error {
	return c.Send('R', append(wire.BigEndian.AppendUint32(nil, method), more...))
}

// AskSCRAM asks for a proof of so many rounds and waits for it.
func (c *Conn) AskSCRAM(rounds int) error {
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
func (c *Conn) Receive() (kind byte, body []byte, err error) { return readMessage(c) }

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
		n := int32(wire.BigEndian.Uint32(body))
		body = body[4:]
		if n >= 0 {
			columns[i], body = body[:n], body[n:]
		}
	}

	return columns
}

// Row gives the body of a row's message.
func Row(columns [][]byte) []byte {
	b := wire.BigEndian.AppendUint16(nil, uint16(len(columns)))
	for _, column := range columns {
		n := uint32(len(column))
		if column == nil {
			n = 1<<32 - 1
		}
		b = append(wire.BigEndian.AppendUint32(b, n), column...)
	}

	return b
}

// Pour sends a message again and again, until nobody takes it any more.
func Pour(to io.Writer, kind byte, body []byte) {
	messages := bytes.Repeat(Message(kind, body), max(1, 32<<10/(len(body)+5)))
	for {
		if _, err := to.Write(messages); err != nil {
			return
		}
	}
}
