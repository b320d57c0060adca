package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// caller sends one request again and again on a connection that stays, and
// does as little else as possible: it shares the processors with what is
// measured.
type caller struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
}

func newCaller(tb testing.TB, addr string, request []byte) *caller {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &caller{conn: conn, in: bufio.NewReaderSize(conn, 256<<10), request: request}
}

// requestOf is a request as the wire has it.
func requestOf(method, path, token, body string, headers ...string) []byte {
	var r strings.Builder
	fmt.Fprintf(&r, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, path)
	if token != "" {
		fmt.Fprintf(&r, "Authorization: Bearer %s\r\n", token)
	}
	for _, h := range headers {
		r.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&r, "Content-Length: %d\r\n", len(body))
	}
	r.WriteString("\r\n" + body)
	return []byte(r.String())
}

var errNoLength = errors.New("an answer without Content-Length")

// call sends the request and reads the answer; its body is kept only if into
// is not nil.
func (c *caller) call(into *bytes.Buffer) (status, size int, err error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, 0, err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		switch {
		case first && len(line) > 12:
			status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
		case len(line) <= 2:
			if status == 304 {
				return status, 0, nil
			}
			if length < 0 {
				return status, 0, errNoLength
			}
			if into != nil {
				into.Reset()
				for into.Len() < length {
					piece, err := c.in.Peek(min(length-into.Len(), c.in.Size()))
					if err != nil {
						return status, 0, err
					}
					into.Write(piece)
					_, _ = c.in.Discard(len(piece))
				}
				return status, length, nil
			}
			_, err := c.in.Discard(length)
			return status, length, err
		case len(line) > 16 && (line[0] == 'C' || line[0] == 'c') && bytes.EqualFold(line[:15], []byte("content-length:")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return status, 0, err
			}
		}
	}
}

// figures is what a stretch of requests came to.
type figures struct {
	rps      float64
	p50, p99 time.Duration
	bytes    int // of the last answer's body
	requests int
}

// drive sends the requests in turns on so many connections at once for a while;
// every answer must have the status.
func drive(tb testing.TB, addr string, requests [][]byte, connections, status int, during time.Duration) figures {
	tb.Helper()
	var (
		mu    sync.Mutex
		all   []time.Duration
		out   figures
		group sync.WaitGroup
	)
	callers := make([]*caller, connections)
	for i := range callers {
		callers[i] = newCaller(tb, addr, nil)
	}
	begin := time.Now()
	for first, c := range callers {
		group.Go(func() {
			took := make([]time.Duration, 0, 1<<16)
			size := 0
			for sent := time.Now(); sent.Sub(begin) < during; {
				c.request = requests[(first+len(took))%len(requests)]
				got, n, err := c.call(nil)
				if err != nil || got != status {
					tb.Errorf("%.60q: status %d, %v", c.request, got, err)
					return
				}
				now := time.Now()
				took, sent, size = append(took, now.Sub(sent)), now, n
			}
			mu.Lock()
			defer mu.Unlock()
			all, out.bytes = append(all, took...), size
		})
	}
	group.Wait()
	elapsed := time.Since(begin)
	if tb.Failed() || len(all) == 0 {
		tb.FailNow()
	}
	slices.Sort(all)
	out.requests, out.rps = len(all), float64(len(all))/elapsed.Seconds()
	out.p50, out.p99 = all[len(all)/2], all[len(all)*99/100]
	return out
}

// report puts the figures where the benchmark shows them.
func (f figures) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(f.rps, "rps")
	b.ReportMetric(float64(f.p50.Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(f.p99.Microseconds())/1e3, "p99-ms")
	b.ReportMetric(float64(f.bytes), "bytes")
	b.ReportMetric(0, "ns/op")
}
