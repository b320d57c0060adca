package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

// cutter is a TCP proxy before a PostgreSQL server that can cut a connection
// around the commit of a batch.
type cutter struct {
	server string
	next   atomic.Int32 // how to treat the next batch
	cuts   [3]atomic.Int32
}

const (
	pass int32 = iota
	cutBefore
	cutAfter
)

// startCutter gives a DSN that goes through the proxy.
func startCutter(t *testing.T, dsn string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{server: u.Host}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	u.Host = listener.Addr().String()
	return c, u.String()
}

// serve relays messages both ways. A client's Sync after an Execute ends a batch:
// cutBefore cuts before it reaches the server, cutAfter when the server has said that it
// is ready again, which is after the commit, and keeps that to itself.
func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var mute atomic.Bool
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		startup, executes := true, false
		for {
			msg, err := readMessage(client, startup)
			if err != nil {
				return
			}
			executes = !startup && (executes || msg[0] == 'E')
			if executes && msg[0] == 'S' {
				executes = false
				how := c.next.Swap(pass)
				c.cuts[how].Add(1)
				switch how {
				case cutBefore:
					return
				case cutAfter:
					mute.Store(true)
				}
			}
			startup = false
			if _, err := server.Write(msg); err != nil {
				return
			}
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			msg, err := readMessage(server, false)
			if err != nil || mute.Load() && msg[0] == 'Z' {
				return
			}
			if mute.Load() {
				continue
			}
			if _, err := client.Write(msg); err != nil {
				return
			}
		}
	}()
	<-done
}

// readMessage reads a message of PostgreSQL's protocol; the first one of a
// client has no type.
func readMessage(r io.Reader, startup bool) ([]byte, error) {
	head := 5
	if startup {
		head = 4
	}
	msg := make([]byte, head)
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(msg[head-4:])
	if length < 4 || length > 1<<24 {
		return nil, errors.New("no message of PostgreSQL")
	}
	msg = append(msg, make([]byte, length-4)...)
	_, err := io.ReadFull(r, msg[head:])
	return msg, err
}

// TestAppendLostReplies loses the connection around the commit, often before
// and often after it: what is retried until it succeeds is there once.
func TestAppendLostReplies(t *testing.T) {
	t.Parallel()
	direct, dsn := openStore(t)
	server := newServer(t, direct, "db1")
	proxy, through := startCutter(t, dsn)
	s := openStoreAt(t, through)
	partitionsAround(t, direct, noon)
	if err := s.mark.learn(t.Context(), s.pool); err != nil { // no batch
		t.Fatal(err)
	}

	const batches = 60
	lost := 0
	for i := range batches {
		at := noon.Add(time.Duration(i) * 15 * time.Second)
		b := plainWindow(server, at)
		b.Visits[0].Databases = []sample.DatabaseStat{distinctStat(at)}
		proxy.next.Store([]int32{cutAfter, cutBefore, cutAfter, pass}[i%4])
		for try := 0; ; try++ {
			err := s.Append(t.Context(), b)
			if err == nil {
				break
			}
			if !errors.Is(err, statsdb.ErrUnavailable) || try > 3 {
				t.Fatalf("batch %d, try %d: %v", i, try, err)
			}
			lost++
		}
	}
	if after, before := proxy.cuts[cutAfter].Load(), proxy.cuts[cutBefore].Load(); after != 30 || before != 15 || lost != 45 {
		t.Fatalf("%d cuts after the commit, %d before it, %d errors", after, before, lost)
	}
	for table, want := range map[string]int{"activity_window": batches, "database_stat": batches, "session": 2, "activity_minute": batches / 4} {
		if n := pgtest.Value[int](t, dsn, "select count(*) from history."+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
	var want []string
	for m := range batches / 4 {
		want = append(want, fmt.Sprintf("%d 12:%02d: 60 planned, 52/4/4/0, 76 samples, cpu 56, lock 20, max 2 of 7", server, m))
	}
	if diff := cmp.Diff(want, strings.Split(minutes(t, dsn), "\n")); diff != "" {
		t.Errorf("minutes (-want +got):\n%s", diff)
	}
}
