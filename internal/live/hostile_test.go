package live

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Endless rows of any live question end its connection, and are told as what
// they are, by a test of the server too.
func TestLiveAnswersAreBounded(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	rogue := faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(statement string, kind byte, body []byte, to io.Writer) bool {
		if kind != 'D' || !strings.HasPrefix(statement, "stmtcache") {
			return false
		}
		faultnet.Pour(to, kind, body)
		return true
	})
	tg := serverOf(1, "rogue", server)
	tg.Endpoint.Port, tg.Endpoint.TLS = rogue.Port(), target.TLSDisable
	l := startLive(t, &catalog{servers: []target.Target{tg}, revision: 1}, time.Minute)
	_, err := l.Activity(t.Context(), tg, true)
	if failed, ok := err.(*Error); !ok || failed.Reason != sample.Oversized { //nolint:errorlint // It is documented.
		t.Errorf("activity: %v", err)
	}
	if s := l.Status(t.Context(), tg); s.Reason != sample.Oversized {
		t.Errorf("status: %s, %s", s.Reason, s.Explanation)
	}
	if r := l.Test(t.Context(), tg); r.OK || r.Status.Reason != sample.Oversized || !strings.Contains(r.Findings[0].Detail, "sends more than is read") {
		t.Errorf("test: %+v", r.Findings)
	}
	if _, _, err := l.DatabaseSize(t.Context(), tg, "postgres"); err == nil {
		t.Error("a size was told")
	}
}

// However many ask about a server whose catalogs are locked, and test it, one
// start waits there; when the lock is gone it serves.
func TestOneStartWaitsForALockedServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 2*time.Second)
	db1, err := l.Server("db1")
	if err != nil {
		t.Fatal(err)
	}
	lock := pgtest.LockCatalog(t, server, "pg_database")
	for range 3 { // each round waits for its deadline
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() { _, _ = l.Activity(t.Context(), db1, true) })
			asking.Go(func() {
				if r := l.Test(t.Context(), db1); r.OK || r.Status.Reason != sample.Timeout {
					t.Errorf("test: %+v", r.Findings)
				}
			})
		}
		asking.Wait()
		if n := lock.Waiting(t); n != 1 {
			t.Fatalf("%d starts wait on the server", n)
		}
	}
	lock.Release(t)
	pgtest.WaitFor(t, func() bool {
		_, err := l.Activity(t.Context(), db1, true)
		return err == nil
	}, "an answer after the lock is gone")
}
