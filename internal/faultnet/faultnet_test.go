package faultnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
)

// client is somebody who speaks through a proxy with a server that says what it
// hears.
type client struct {
	*testing.T
	net.Conn
}

func echo(t *testing.T) (p *faultnet.Proxy, dial func() client) {
	t.Helper()
	server := faultnet.Listen(t, func(c *faultnet.Conn) { _, _ = io.Copy(c, c) })
	p = faultnet.NewProxy(t, server.Host(), server.Port())

	return p, func() client {
		t.Helper()
		conn, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })

		return client{t, conn}
	}
}

func (c client) says(what string) client {
	c.Helper()
	if _, err := io.WriteString(c, what); err != nil {
		c.Fatal(err)
	}

	return c
}

func (c client) hears(what string) client {
	c.Helper()
	heard := make([]byte, len(what))
	if n, err := io.ReadFull(c, heard); string(heard) != what {
		c.Fatalf("heard %q, %v, want %q", heard[:n], err, what)
	}

	return c
}

// hearsNothing for long enough to notice, not even an end.
func (c client) hearsNothing() {
	c.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.Fatalf("%d bytes, %v, want silence", n, err)
	}
	_ = c.SetReadDeadline(time.Time{})
}

func (c client) ends(want error) {
	c.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
		c.Errorf("the end is %v, want %v", err, want)
	}
}

func TestRefuseAndLead(t *testing.T) {
	t.Parallel()
	p, dial := echo(t)
	there := dial().says("there").hears("there")
	p.Set(faultnet.Refuse)
	if _, err := net.Dial("tcp", p.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused by %v", err)
	}
	there.says("stays").hears("stays")
	p.Set(faultnet.Pass)
	dial().says("again").hears("again")
	other := faultnet.Listen(t, func(c *faultnet.Conn) { _, _ = io.WriteString(c, "other") })
	p.Lead(other.Host(), other.Port())
	there.ends(io.EOF)
	dial().hears("other")
}

func TestDark(t *testing.T) {
	t.Parallel()
	p, dial := echo(t)
	there := dial().says("light").hears("light")
	p.Set(faultnet.Dark)
	late := dial()
	there.says("held").hearsNothing()
	late.says("held").hearsNothing()
	p.Set(faultnet.Pass)
	there.hears("held")
	late.hears("held")
}

// Cut and Reset end what there is and who comes; and after so many bytes of each
// connection, as Dark does, in the middle of an answer.
func TestCutAndReset(t *testing.T) {
	t.Parallel()
	for fault, end := range map[faultnet.Fault]error{faultnet.Cut: io.EOF, faultnet.Reset: syscall.ECONNRESET} {
		p, dial := echo(t)
		there := dial().says("there").hears("there")
		p.Set(fault)
		there.ends(end)
		// A reset may come before the connection stands.
		if conn, err := net.Dial("tcp", p.Address()); err == nil {
			client{t, conn}.ends(end)
		} else if !errors.Is(err, end) {
			t.Errorf("dialing gives %v, want %v", err, end)
		}
		p.After(3, fault)
		for range 2 {
			dial().says("abc").hears("abc").says("d").ends(end)
		}
		p.After(3, faultnet.Dark)
		dial().says("abcdef").hears("abc").hearsNothing()
	}
}

// A machine may be slower than the rate, but not faster.
func TestThrottle(t *testing.T) {
	t.Parallel()
	p, dial := echo(t)
	p.Throttle(1000)
	text, from := strings.Repeat("x", 300), time.Now()
	c := dial().says(text).hears(text)
	if took := time.Since(from); took < 300*time.Millisecond {
		t.Errorf("300 bytes passed in %s", took)
	}
	p.Throttle(0)
	c.says(text).hears(text)
}

// A commit may be lost, or the reply to it, and an answer be another.
func TestMessages(t *testing.T) {
	t.Parallel()
	var commits atomic.Int64
	server := faultnet.Listen(t, func(c *faultnet.Conn) {
		for err := c.Startup(); err == nil; {
			var kind byte
			if kind, _, err = c.Receive(); kind == 'S' {
				commits.Add(1)
				_, _ = c.Write(bytes.Join([][]byte{
					faultnet.Message('2', nil), faultnet.Message('D', faultnet.Row([][]byte{[]byte("row"), nil})), faultnet.Message('Z', nil),
				}, nil))
			}
		}
	})
	p := faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(statement string, kind byte, body []byte, to io.Writer) bool {
		if statement == "endless" && kind == 'D' && string(faultnet.Columns(body)[0]) == "row" {
			faultnet.Pour(to, kind, body)
		}
		return false
	})
	for i, tt := range []struct {
		fault     faultnet.Fault
		statement string
		answer    string // kinds of its first messages
		commits   int64
	}{
		{faultnet.Pass, "plain", "2DZ", 1},
		{faultnet.LoseCommit, "plain", "", 1},
		{faultnet.LoseReply, "plain", "", 2},
		{faultnet.Pass, "endless", "2DDDDD", 3},
	} {
		p.Set(tt.fault)
		conn, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write(bytes.Join([][]byte{
			{0, 0, 0, 8, 0, 3, 0, 0},
			faultnet.Message('B', []byte("\x00"+tt.statement+"\x00")), faultnet.Message('E', nil), faultnet.Message('S', nil),
		}, nil))
		answer := ""
		for head := make([]byte, 5); err == nil && (tt.answer == "" || len(answer) < len(tt.answer)); {
			if _, err = io.ReadFull(conn, head); err == nil {
				answer += string(head[0])
				_, err = io.CopyN(io.Discard, conn, int64(head[4])-4)
			}
		}
		_ = conn.Close()
		if n := commits.Load(); answer != tt.answer || n != tt.commits {
			t.Errorf("%d: answer %q, want %q; %d commits, want %d; %v", i, answer, tt.answer, n, tt.commits, err)
		}
	}
}
