package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func behind(r *faultnet.Proxy) target.Target {
	tg := target.Target{ID: 1, Name: "rogue", Endpoint: target.Endpoint{
		Host: r.Host(), Port: r.Port(), User: pgtest.User, Password: secret.New(pgtest.Password), TLS: target.TLSDisable,
	}}
	tg.Defaults()
	return tg
}

func newVisit() *sample.Visit {
	now := time.Now().UTC()
	return &sample.Visit{Server: 1, Tick: &sample.Tick{Planned: now, Cadence: time.Second}}
}

// Endless rows of any question end the connection, and are told as what they
// are.
func TestRowsAreBounded(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create table held ()")
	holder := connected(t, server)
	if _, err := holder.Exec(t.Context(), "begin; lock table held"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	waiter := connected(t, server)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = waiter.Exec(ctx, "begin; lock table held", pgx.QueryExecModeSimpleProtocol)
	}()
	t.Cleanup(func() { cancel(); <-ended }) // after the tests below
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int64](t, server.SuperuserDSN(), "select count(*) from pg_locks where not granted") > 0
	}, "a session that waits")
	for _, question := range []string{
		"privileges", "pulse", "activity", "identity", "databases", "inventory", "locations", "settings", "roles", "blockers", "lock_waits", "size",
	} {
		t.Run(question, func(t *testing.T) {
			t.Parallel()
			var flooded atomic.Bool
			rogue := faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(statement string, kind byte, body []byte, to io.Writer) bool {
				// The form of a question depends on the role.
				if kind != 'D' || statement != "pgam_"+question && (question != "identity" || statement != "pgam_identity_plain") {
					return false
				}
				flooded.Store(true)
				faultnet.Pour(to, kind, body)
				return true
			})
			conn, err := probe.Open(t.Context(), behind(rogue), limits())
			if err == nil {
				defer conn.Close()
				v := newVisit()
				err = conn.Visit(t.Context(), sample.Ask{Databases: true, Inventory: true, Locations: true}, sample.NewDictionary(sample.Hash{}), v)
				if question == "size" {
					var size sample.DatabaseSize
					err = conn.Size(t.Context(), 1, &size)
				}
				if conn.Alive() {
					t.Error("the connection is kept")
				}
			}
			if !flooded.Load() {
				t.Fatal("was not asked")
			}
			if got := remote.Classify(err); got != sample.Oversized || !errors.Is(err, remote.ErrOversized) {
				t.Errorf("%s: %v", got, err)
			}
		})
	}
}

func connected(t *testing.T, server *pgtest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// A statement's text comes once, and no more of it than is kept; in a burst the
// whole of it, once. So long statements that run for long cost hardly more than
// short ones.
func TestLongStatementsComeOnce(t *testing.T) {
	t.Parallel()
	const sessions, length = 8, 96_000
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{"track_activity_query_size": "102400"}))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{}, sessions)
			for i := range sessions {
				conn := connected(t, server)
				long := fmt.Sprintf("select pg_sleep(600)%s, '%s' as e%d", strings.Repeat(", now()", i), strings.Repeat("é", length/2), i)
				go func() {
					_, _ = conn.Exec(ctx, long, pgx.QueryExecModeSimpleProtocol)
					ended <- struct{}{}
				}()
			}
			defer func() {
				cancel()
				for range sessions {
					<-ended
				}
			}()
			pgtest.WaitFor(t, func() bool {
				return pgtest.Value[int64](t, server.SuperuserDSN(), "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == sessions
			}, "all sessions to sleep")
			var sent atomic.Int64
			rogue := faultnet.NewMessageProxy(t, server.Host(), server.Port(), func(_ string, _ byte, body []byte, _ io.Writer) bool {
				sent.Add(int64(len(body)))
				return false
			})
			conn, err := probe.Open(t.Context(), behind(rogue), limits())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			dict := sample.NewDictionary(sample.Hash{})
			var ids map[sample.Key]bool
			visit := func(full bool) (bytes int64, texts []sample.QueryEntry) {
				t.Helper()
				before, v := sent.Load(), newVisit()
				if err := conn.Visit(t.Context(), sample.Ask{Full: full, Texts: target.TextsFull}, dict, v); err != nil {
					t.Fatal(err)
				}
				seen := make(map[sample.Key]bool)
				for _, s := range v.Tick.Sessions {
					seen[s.Query] = true
				}
				if ids == nil {
					ids = seen
				}
				if len(seen) != sessions || seen[0] || fmt.Sprint(seen) != fmt.Sprint(ids) {
					t.Errorf("statements %v, before %v", seen, ids)
				}
				for _, q := range v.Entries.Queries {
					if q.Text != "" {
						texts = append(texts, q)
					}
				}
				return sent.Load() - before, texts
			}
			for i, full := range []bool{false, false, false, true, true, false} {
				bytes, texts := visit(full)
				most, want := int64(10_000), 0
				switch i {
				case 0:
					most, want = most+sessions*5_000, sessions
				case 3:
					most, want = most+sessions*(length+5_000), sessions
				}
				if bytes > most || len(texts) != want {
					t.Errorf("visit %d: %d bytes, at most %d; %d texts, want %d", i, bytes, most, len(texts), want)
				}
				for _, q := range texts {
					if n := len(q.Text); n > sample.MaxText != full || full && !strings.HasPrefix(q.Text[n-4:], "as e") && !strings.Contains(q.Text[n-10:], " as e") {
						t.Errorf("visit %d: a text of %d bytes", i, n)
					}
				}
			}
		})
	}
}

// A session whose statement is older than those seen before, and that was not
// seen, is told by its statement all the same.
func TestALateComerIsToldByItsStatement(t *testing.T) { //nolint:tparallel // one after the other: their statements are alike
	t.Parallel()
	server := pgtest.Target(t)
	for _, ahead := range []time.Duration{0, 10 * time.Minute, -3 * time.Second} {
		t.Run(ahead.String(), func(t *testing.T) { lateComer(t, server, ahead) })
	}
}

// lateComer leaves a session out of one visit and not of the next, with a
// collector's clock that is ahead.
func lateComer(t *testing.T, server *pgtest.Server, ahead time.Duration) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	b.ahead = ahead
	if b.conn.Version() >= 140000 {
		server.Exec(t, "alter role "+pgtest.Superuser+" set compute_query_id = off")
	}
	old := connected(t, server)
	if _, err := old.Exec(t.Context(), "begin; select 'the old one', now()", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	b.conn.Exclude(old.PgConn().PID())
	young := connected(t, server)
	if _, err := young.Exec(t.Context(), "begin; select 'the young one'", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	if _, err := b.visit(t, sample.Ask{Texts: target.TextsFull}); err != nil {
		t.Fatal(err)
	}
	b.conn.Exclude(0)
	v, err := b.visit(t, sample.Ask{Texts: target.TextsFull})
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for _, s := range v.Tick.Sessions {
		told[b.texts[s.Query].Text] = true
	}
	if !told["begin; select 'the old one', now()"] || !told["begin; select 'the young one'"] {
		t.Errorf("a clock %s ahead: statements %v", ahead, told)
	}
}
