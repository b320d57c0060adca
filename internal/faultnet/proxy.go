package faultnet

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what a Proxy does to its connections.
type Fault int

const (
	// Pass passes everything, as it is.
	Pass Fault = iota
	// Refuse has nobody listen. The connections that there are stay.
	Refuse
	// Dark passes nothing and tells of no end, in either direction. Connections stay,
	// and more are accepted. What was held back passes when the fault is over.
	Dark
	// Cut closes the connections that there are, and those who come.
	Cut
	// Reset does so with RST.
	Reset
	// LoseCommit is for a proxy that knows messages: it cuts a connection at the end of its
	// next batch that executes something, which the server does not come to know.
	// Then Pass holds.
	LoseCommit
	// LoseReply cuts it when the server has committed, and keeps the answer.
	LoseReply
)

// Proxy stands before a server.
type Proxy struct {
	*Listener

	// All this is guarded by Listener.mu.
	twist   func(statement string, kind byte, body []byte, to io.Writer) bool // nil: it knows no messages
	server  string
	fault   Fault
	after   int64         // bytes to a client before there is a fault
	rate    int           // bytes a second in each direction; 0: no limit
	changed chan struct{} // closed when any of these is another
}

// NewProxy passes bytes, whatever the protocol.
func NewProxy(tb testing.TB, host string, port int) *Proxy {
	tb.Helper()
	p := &Proxy{server: net.JoinHostPort(host, strconv.Itoa(port)), changed: make(chan struct{})}
	p.Listener = newListener(tb, p.serve)
	p.open()

	return p
}

// NewMessageProxy passes the messages of PostgreSQL's protocol, without TLS, but
// for the answers that twist changes: it is given the name of the prepared
// statement that is being answered, a message of the answer, and where to send what
// it likes instead. False passes the message on; so does no twist at all.
func NewMessageProxy(tb testing.TB, host string, port int, twist func(statement string, kind byte, body []byte, to io.Writer) bool) *Proxy {
	tb.Helper()
	if twist == nil {
		twist = func(string, byte, []byte, io.Writer) bool { return false }
	}
	p := NewProxy(tb, host, port)
	p.change(func() { p.twist = twist })

	return p
}

// Set has a fault hold from now on, for the connections that there are too.
func (p *Proxy) Set(fault Fault) {
	p.tb.Helper()
	p.After(0, fault)
}

// After has a fault, Dark, Cut or Reset, hold for each connection when so many
// bytes have passed to its client, since it was made.
func (p *Proxy) After(n int64, fault Fault) {
	p.tb.Helper()
	p.change(func() { p.fault, p.after = fault, n })
	if fault == Refuse {
		p.close()
	} else {
		p.open()
	}
	if n == 0 && (fault == Cut || fault == Reset) {
		p.cut(fault == Reset)
	}
}

// Throttle passes no more than so many bytes a second in each direction of a
// connection; 0 is no limit.
func (p *Proxy) Throttle(rate int) { p.change(func() { p.rate = rate }) }

// Lead has new connections go to another server, and cuts those that there are.
func (p *Proxy) Lead(host string, port int) {
	p.change(func() { p.server = net.JoinHostPort(host, strconv.Itoa(port)) })
	p.cut(false)
}

func (p *Proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) serve(c *Conn) {
	answers := &way{proxy: p, client: c, to: c.Conn, answer: true}
	if _, err := answers.admit(0); err != nil {
		return
	}
	p.mu.Lock()
	server, twist := p.server, p.twist
	p.mu.Unlock()
	far, err := new(net.Dialer).DialContext(p.tb.Context(), "tcp", server)
	if err != nil || !p.keep(far) {
		return
	}
	defer p.drop(far)
	requests := &way{proxy: p, client: c, to: far}
	ask := func() { _, _ = io.Copy(requests, c) }
	answer := func() { _, _ = io.Copy(answers, far) }
	if twist != nil {
		ask, answer = p.messages(c, far, twist, requests, answers)
	}
	p.running.Go(func() {
		defer func() { _, _ = far.Close(), c.Close() }()
		ask()
		_, _ = requests.admit(0) // the end is told as everything is
	})
	answer()
	_, _ = answers.admit(0)
}

// messages gives both directions of a connection of PostgreSQL's.
func (p *Proxy) messages(c *Conn, far io.Reader, twist func(string, byte, []byte, io.Writer) bool, requests, answers io.Writer) (ask, answer func()) {
	asked := make(chan string, 1<<16)
	var mute atomic.Bool // the reply is lost
	ask = func() {
		_, message, err := c.startup()
		for executes := false; err == nil; {
			if _, err = requests.Write(message); err != nil {
				return
			}
			kind, body, err := c.Receive()
			if err != nil {
				return
			}
			message = Message(kind, body)
			switch {
			case kind == 'B': // portal, then statement
				asked <- string(bytes.SplitN(body, []byte{0}, 3)[1])
			case kind == 'E':
				executes = true
			case kind == 'S' && executes:
				executes = false
				fault := p.lose()
				if fault == LoseCommit {
					return
				}
				mute.Store(fault == LoseReply)
			}
		}
	}
	answer = func() {
		statement := ""
		for {
			kind, body, err := readMessage(far)
			if err != nil || mute.Load() && kind == 'Z' {
				return
			}
			switch kind {
			case '2': // BindComplete
				statement = <-asked
			case 'Z':
				statement = ""
			}
			if mute.Load() || twist(statement, kind, body, answers) {
				continue
			}
			if _, err := answers.Write(Message(kind, body)); err != nil {
				return
			}
		}
	}

	return ask, answer
}

// lose gives the fault that is for one batch, and ends it.
func (p *Proxy) lose() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault := p.fault
	if fault == LoseCommit || fault == LoseReply {
		p.fault = Pass
	}

	return fault
}

// way is one direction of a connection.
type way struct {
	proxy  *Proxy
	client *Conn
	to     net.Conn
	answer bool // it leads to the client
}

// Write passes as much as the fault lets it, when it does.
func (w *way) Write(b []byte) (n int, err error) {
	for n < len(b) {
		most, err := w.admit(len(b) - n)
		if err != nil {
			return n, err
		}
		k, err := w.to.Write(b[n : n+most])
		n += k
		if w.answer {
			w.client.passed.Add(int64(k))
		}
		if err != nil {
			return n, err
		}
	}

	return n, nil
}

// admit waits until bytes may pass, and tells how many of those that want to. The
// error is for a connection that has ended.
func (w *way) admit(want int) (int, error) {
	p := w.proxy
	for {
		p.mu.Lock()
		fault, left, rate, changed := p.fault, p.after-w.client.passed.Load(), p.rate, p.changed
		p.mu.Unlock()
		switch {
		case left > 0:
			if w.answer {
				want = int(min(int64(want), left))
			}
		case fault == Dark:
			select {
			case <-changed:
				continue
			case <-p.done:
				return 0, net.ErrClosed
			}
		case fault == Cut || fault == Reset:
			end(w.client.Conn, fault == Reset)

			return 0, net.ErrClosed
		}
		if rate == 0 || want == 0 {
			return want, nil
		}
		want = min(want, max(1, rate/20))
		select {
		case <-time.After(time.Duration(want) * time.Second / time.Duration(rate)):
			return want, nil
		case <-p.done:
			return 0, net.ErrClosed
		}
	}
}
