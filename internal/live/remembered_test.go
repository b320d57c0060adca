package live

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// A dead server costs one attempt in the time that its status is kept; a test
// asks anew.
func TestFailuresAreRemembered(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int64
	listener := faultnet.Listen(t, func(c *faultnet.Conn) {
		if c.Startup() == nil { // the driver also asks to cancel what it has left; that is none
			attempts.Add(1)
		}
	})
	dead := target.Target{ID: 1, Name: "dead", Endpoint: target.Endpoint{Host: listener.Host(), Port: listener.Port(), User: "x", TLS: target.TLSDisable}}
	dead.Defaults()
	servers := []target.Target{dead}
	l := startLive(t, &catalog{servers: servers}, 5*time.Second, func(cfg *Config) {
		cfg.Pools = map[target.PoolProfile]Size{target.PoolDefault: {0, 5}}
		cfg.StatusTTL = 3 * time.Second
	})
	v := l.Views(t.Context(), servers, nil)
	kept := time.Now()
	if v[0].Reason != sample.ConnectionLost || attempts.Load() == 0 {
		t.Fatalf("view %+v", v[0])
	}
	before := attempts.Load()
	for range 100 {
		_ = l.Views(t.Context(), servers, nil)
	}
	if n := attempts.Load(); n != before && time.Since(kept) < time.Second {
		t.Errorf("%d more attempts", n-before)
	}
	pgtest.WaitFor(t, func() bool {
		_ = l.Views(t.Context(), servers, nil)
		return attempts.Load() > before
	}, "another attempt when the status has expired")
	before = attempts.Load()
	if r := l.Test(t.Context(), dead); r.OK || attempts.Load() == before {
		t.Errorf("test made no attempt: %+v", r)
	}
}

// Those who ask for sessions at the same time share answers, and nobody is
// given an old one.
func TestActivityIsShared(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create extension if not exists pg_stat_statements")
	db1 := serverOf(1, "db1", server)
	l := startLive(t, &catalog{servers: []target.Target{db1}}, 10*time.Second)
	var asking sync.WaitGroup
	const askers, turns = 8, 50
	for range askers {
		asking.Go(func() {
			for range turns {
				came := time.Now()
				got, err := l.Activity(t.Context(), db1, true)
				if err != nil || got.At.Before(came.Add(-time.Millisecond)) {
					t.Errorf("asked at %s, answered of %s: %v", came, got.At, err)
				}
			}
		})
	}
	asking.Wait()
	calls := pgtest.Value[int64](t, server.SuperuserDSN(),
		"select coalesce(sum(calls), 0)::int8 from pg_stat_statements where query like '/* pgam:live_activity */%'")
	if calls < turns || calls > askers*turns*3/4 {
		t.Errorf("%d questions for %d who asked", calls, askers*turns)
	}
}
