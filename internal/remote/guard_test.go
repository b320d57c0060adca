package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// at gives a target where a rogue listens.
func at(r *faultnet.Listener, change ...func(*target.Target)) target.Target {
	t := target.Target{ID: 1, Name: "rogue", Endpoint: target.Endpoint{
		Host: r.Host(), Port: r.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}}
	t.Defaults()
	for _, f := range change {
		f(&t)
	}
	return t
}

func tlsMode(mode target.TLSMode) func(*target.Target) {
	return func(t *target.Target) { t.Endpoint.TLS = mode }
}

// startless dials what must not become a connection.
func startless(t *testing.T, tg target.Target, lim remote.Limits) error {
	t.Helper()
	conn, err := remote.Dial(t.Context(), tg, lim)
	if err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("connected")
	}
	return err
}

// Whatever a server sends without end before it is ready, no more than a start's
// bytes of it are read, and the failure has a class of its own.
func TestAStartIsBounded(t *testing.T) {
	t.Parallel()
	parameter := func(i, length int) []byte {
		return fmt.Appendf(nil, "p%d\x00%s\x00", i, strings.Repeat("v", length))
	}
	for name, endless := range map[string]func(c *faultnet.Conn, i int) error{
		"parameters of a megabyte": func(c *faultnet.Conn, i int) error { return c.Send('S', parameter(i, 1<<20)) },
		"parameters":               func(c *faultnet.Conn, i int) error { return c.Send('S', parameter(i, 4000)) },
		"short parameters":         func(c *faultnet.Conn, i int) error { return c.Send('S', parameter(i, 1)) },
		"one parameter":            func(c *faultnet.Conn, _ int) error { return c.Send('S', parameter(0, 1000)) },
		"notices":                  func(c *faultnet.Conn, _ int) error { return c.Send('N', []byte("MWhat?\x00\x00")) },
		"keys":                     func(c *faultnet.Conn, _ int) error { return c.Send('K', make([]byte, 8)) },
		"yes":                      func(c *faultnet.Conn, _ int) error { return c.Ask(0) },
		"an endless message": func(c *faultnet.Conn, i int) error {
			if i == 0 {
				_, err := c.Write([]byte{'D', 0x7f, 0xff, 0xff, 0xff})
				return err
			}
			_, err := c.Write(make([]byte, 1<<16))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan int, 8)
			rogue := faultnet.Listen(t, func(c *faultnet.Conn) {
				n := 0
				if c.Startup() == nil && c.Ask(0) == nil {
					for endless(c, n) == nil {
						n++
					}
				}
				sent <- n
			})
			err := startless(t, at(rogue, tlsMode(target.TLSDisable)), limits(nil))
			if got := remote.Classify(err); got != sample.Oversized || !errors.Is(err, remote.ErrOversized) {
				t.Errorf("%s: %v", got, err)
			}
			<-sent // the connection was cut: the rogue could not go on
			if said := remote.Describe(err); !strings.Contains(said, "sends more than is read") {
				t.Errorf("a person is told %q", said)
			}
		})
	}
}

// An answer is bounded too, also between questions, and those of several
// connections together; what they held is free again when they are closed.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	endless := func(kind byte, body []byte) *faultnet.Listener {
		return faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(statement string, k byte, _ []byte, to io.Writer) bool {
			if statement != "flood" || k != 'D' {
				return false
			}
			faultnet.Pour(to, kind, body)
			return true
		}).Listener
	}
	row := append([]byte{0, 1, 0, 0, 3, 0xe8}, make([]byte, 1000)...) // one column of 1000 bytes
	ask := func(ctx context.Context, conn *pgconn.PgConn) error {
		stmt, err := conn.Prepare(ctx, "flood", "select 'row'", nil)
		if err != nil {
			return err
		}
		rr := conn.ExecStatement(ctx, stmt, nil, nil, nil)
		for rr.NextRow() {
			_ = rr.Values()
		}
		_, err = rr.Close()
		return err
	}
	for name, tt := range map[string]struct {
		kind byte
		body []byte
		most int64 // of all answers together
	}{
		"rows":                 {'D', row, 1 << 40},
		"notices":              {'N', []byte("MWhat?\x00\x00"), 1 << 40},
		"notifications":        {'A', []byte("\x00\x00\x00\x01channel\x00payload\x00"), 1 << 40},
		"parameters":           {'S', []byte("one\x00and the same\x00"), 1 << 40},
		"an error of megabyte": {'E', append([]byte("SERROR\x00C22000\x00M"), make([]byte, 1<<20)...), 1 << 40},
		"rows of all together": {'D', row, 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard := remote.NewGuard(tt.most)
			lim := limits(nil)
			lim.Guard = guard
			tg := at(endless(tt.kind, tt.body), tlsMode(target.TLSDisable))
			for range 2 { // the second finds the room that the first had
				conn, err := remote.Dial(t.Context(), tg, lim)
				if err != nil {
					t.Fatal(err)
				}
				err = ask(t.Context(), conn)
				if got := remote.Classify(err); got != sample.Oversized {
					t.Errorf("%s: %v", got, err)
				}
				if !conn.IsClosed() {
					t.Error("the connection is kept")
				}
				_ = conn.Close(t.Context())
			}
			conn, err := remote.Dial(t.Context(), at(faultnet.NewMessageProxy(t, server.Host(), server.Port(), nil).Listener,
				tlsMode(target.TLSDisable)), lim)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(t.Context()) }()
			for range 40 { // what is read of one answer is not counted against the next
				res := conn.ExecParams(t.Context(), "select repeat('x', 1500000)", nil, nil, nil, nil).Read()
				if res.Err != nil {
					t.Fatal(res.Err)
				}
			}
		})
	}
}

// A server that may not be who it says gets nothing that tells the password
// apart: no clear text, no MD5, no SCRAM of few rounds; nor are more rounds
// computed than real servers ask for.
func TestNothingIsSaidThatGivesThePasswordAway(t *testing.T) {
	t.Parallel()
	md5 := func(t *target.Target) { t.Endpoint.AllowMD5 = true }
	rounds := func(n int) func(c *faultnet.Conn) error {
		return func(c *faultnet.Conn) error { return c.AskSCRAM(n) }
	}
	ask := func(method uint32, more ...byte) func(c *faultnet.Conn) error {
		return func(c *faultnet.Conn) error {
			if err := c.Ask(method, more...); err != nil {
				return err
			}
			_, _, err := c.Receive()
			return err
		}
	}
	for name, tt := range map[string]struct {
		ask    func(c *faultnet.Conn) error // nil when it was answered
		change func(*target.Target)
		told   string // "": it is answered
	}{
		"clear text":             {ask(3), md5, "in the clear"},
		"md5":                    {ask(5, 1, 2, 3, 4), nil, "allow_md5"},
		"md5, allowed":           {ask(5, 1, 2, 3, 4), md5, ""},
		"one round":              {rounds(1), nil, "fewer than 4096"},
		"one round, allowed":     {rounds(1), md5, ""},
		"PostgreSQL's rounds":    {rounds(4096), nil, ""},
		"many rounds":            {rounds(100_000), nil, ""},
		"too many rounds":        {rounds(100_001), md5, "at most 100000"},
		"the driver's most":      {rounds(10_000_000), nil, "at most 100000"},
		"more than a driver can": {rounds(1 << 40), nil, "at most 100000"},
	} {
		for _, mode := range []target.TLSMode{target.TLSDisable, target.TLSPrefer, target.TLSAllow} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				t.Parallel()
				answered := make(chan bool, 8)
				rogue := faultnet.Listen(t, func(c *faultnet.Conn) {
					if c.Startup() == nil {
						answered <- tt.ask(c) == nil
					}
				})
				tg := at(rogue, tlsMode(mode))
				if tt.change != nil {
					tt.change(&tg)
				}
				err := startless(t, tg, limits(nil))
				if got, want := <-answered, tt.told == ""; got != want {
					t.Errorf("answered is %v, want %v", got, want)
				}
				_, refused := errors.AsType[*remote.AuthError](err)
				switch {
				case refused != (tt.told != ""):
					t.Error(err)
				case refused && !strings.Contains(remote.Describe(err), tt.told):
					t.Errorf("%v, described as %q", err, remote.Describe(err))
				case refused && remote.Classify(err) != sample.AuthFailed:
					t.Errorf("%s", remote.Classify(err))
				}
			})
		}
	}
}

// Where TLS is required nothing is said to a server that has none, not even who
// wants in.
func TestWithoutTLSNothingIsSaidWhereItIsRequired(t *testing.T) {
	t.Parallel()
	for _, mode := range []target.TLSMode{target.TLSRequire, target.TLSVerifyCA, target.TLSVerifyFull} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			rogue := faultnet.Listen(t, func(c *faultnet.Conn) {
				defer close(ended)
				_ = c.Startup()
			})
			err := startless(t, at(rogue, tlsMode(mode)), limits(nil))
			if got := remote.Classify(err); got != sample.TLSFailed {
				t.Errorf("%s: %v", got, err)
			}
			<-ended
			if n := rogue.Received.Load(); n != 8 {
				t.Errorf("%d bytes were sent, want the 8 that ask for TLS", n)
			}
		})
	}
}

// A server that is only preferred to have TLS and has had it is not spoken to
// without: somebody on the way would need to change one byte.
func TestTLSThatWasHadIsNotGivenUp(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t, pgtest.WithSettings(map[string]string{
		"ssl": "on", "ssl_cert_file": ownedByServer(t, "server.crt"), "ssl_key_file": ownedByServer(t, "server.key"),
	}))
	tapped := make(chan string, 8)
	rogue := faultnet.Listen(t, func(c *faultnet.Conn) {
		if c.Startup() == nil {
			tapped <- "a start in the clear"
		}
	})
	proxy := faultnet.NewProxy(t, server.Host(), server.Port())
	lim := limits(nil)
	lim.Guard = remote.NewGuard(1 << 20)
	tg := at(proxy.Listener)
	conn, err := remote.Dial(t.Context(), tg, lim)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	proxy.Lead(rogue.Host(), rogue.Port())
	err = startless(t, tg, lim)
	if got, said := remote.Classify(err), remote.Describe(err); got != sample.TLSFailed || !strings.Contains(said, "had TLS before") {
		t.Errorf("%s: %q: %v", got, said, err)
	}
	select {
	case what := <-tapped:
		t.Errorf("the rogue got %s", what)
	default:
	}
	// Who says that it is meant is heard.
	_ = startless(t, at(proxy.Listener, tlsMode(target.TLSDisable)), lim)
	if what := <-tapped; what == "" {
		t.Error("nothing came")
	}
}

// A start that the server does not finish is kept as long as it lasts, and ends
// with who wanted it.
func TestAHeldStartWaitsForTheServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	lock := pgtest.LockCatalog(t, server, "pg_database")
	lim := limits(nil)
	lim.Connect = 5 * time.Second // of the first question too
	tg := target.Target{ID: 1, Name: "locked", Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password), TLS: target.TLSDisable,
	}}
	tg.Defaults()
	// Unheld, it is given up.
	if err := startless(t, tg, lim); remote.Classify(err) != sample.Timeout {
		t.Fatal(err)
	}
	lim.Hold = true
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	dial := func(ctx context.Context) {
		conn, err := remote.Dial(ctx, tg, lim)
		if err == nil {
			_ = conn.Close(ctx)
		}
		ended <- err
	}
	go dial(ctx)
	go dial(t.Context())
	pgtest.WaitFor(t, func() bool { return lock.Waiting(t) == 3 }, "three starts that wait for the lock, one of which was given up")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a start that nobody wants ends with %v", err)
	}
	lock.Release(t)
	if err := <-ended; err != nil {
		t.Errorf("after the lock is gone: %v", err)
	}
}
