package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bare is the plain question for the columns that a visit stores.
const bare = `select pid, datid, usesysid, leader_pid, backend_start, client_addr, backend_type, application_name, state,
       wait_event_type, wait_event, xact_start, query_start, state_change, backend_xmin, query_id
  from pg_catalog.pg_stat_activity
 where state <> 'idle'`

// crowd opens sessions with long statements in pg_stat_activity: active ones
// change their statement, like a busy application's; idle ones show their
// last. Each has about 2000 bytes of text.
func crowd(tb testing.TB, server *pgtest.Server, backends, active int) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, backends)
	pad := strings.Repeat("padding, ", 220)
	for i := range backends {
		conn, err := pgconn.Connect(ctx, server.SuperuserDSN()+"&application_name=app"+strconv.Itoa(i%12))
		if err != nil {
			tb.Fatal(err)
		}
		go func() {
			defer func() {
				end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer stop()
				_ = conn.Close(end)
				ended <- struct{}{}
			}()
			for n := 0; ctx.Err() == nil; n++ {
				seconds := 0.2 + rand.Float64()
				if i >= active {
					seconds = 0
				}
				sql := fmt.Sprintf("select pg_sleep(%f), %d as shape%d /* %s */", seconds, n, rand.IntN(300), pad)
				if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil || i >= active {
					<-ctx.Done()
				}
			}
		}()
	}
	tb.Cleanup(func() {
		cancel()
		for range backends {
			<-ended
		}
	})
}

func busyTarget(tb testing.TB, backends, active int) *pgtest.Server {
	tb.Helper()
	server := pgtest.Target(tb, pgtest.WithTrust(), pgtest.WithSettings(map[string]string{
		"max_connections": strconv.Itoa(backends + 300), "track_activity_query_size": "4096", "compute_query_id": "on",
	}))
	crowd(tb, server, backends, active)
	return server
}

func targetOf(server *pgtest.Server, id target.ID) target.Target {
	t := target.Target{ID: id, Name: fmt.Sprintf("bench%d", id), Enabled: true, Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}}
	t.Defaults()
	return t
}

// BenchmarkVisit compares a whole activity visit with the bare select, in
// turns: milliseconds seen by the client, and the server process's CPU.
func BenchmarkVisit(b *testing.B) {
	for _, n := range []int{20, 100, 500} {
		active := min(50, n/2)
		b.Run(fmt.Sprintf("backends=%d/active=%d", n, active), func(b *testing.B) {
			server := busyTarget(b, n, active)
			floor, err := pgconn.Connect(b.Context(), server.DSN(pgtest.User))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = floor.Close(context.Background()) }()
			if _, err := floor.Prepare(b.Context(), "bare", bare, nil); err != nil {
				b.Fatal(err)
			}
			conn, err := probe.Open(b.Context(), targetOf(server, 1), remote.Limits{
				Application: "pgam-collector", Connect: 5 * time.Second, Statement: 5 * time.Second, Lock: time.Second,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			dict := sample.NewDictionary(sample.NewHash([16]byte{1}))
			visit := func() {
				now := time.Now().UTC()
				v := sample.Visit{Tick: &sample.Tick{Planned: now, Cadence: time.Second}}
				if err := conn.Visit(b.Context(), sample.Ask{}, dict, &v); err != nil || v.Tick.Outcome != sample.OK {
					b.Fatalf("outcome %s: %v", v.Tick.Outcome, err)
				}
			}
			question := func() {
				if res := floor.ExecPrepared(b.Context(), "bare", nil, nil, []int16{1}).Read(); res.Err != nil {
					b.Fatal(res.Err)
				}
			}
			pgtest.WaitFor(b, func() bool { visit(); return true }, "a first visit")
			const warm, rounds = 20, 300
			for range warm {
				visit()
				question()
			}
			var ours, theirs spent
			for b.Loop() {
				for range rounds {
					ours.add(b, conn.PID(), visit)
					theirs.add(b, floor.PID(), question)
				}
			}
			b.ReportMetric(theirs.wall.Seconds()*1e3/float64(theirs.n), "bare-ms")
			b.ReportMetric(ours.wall.Seconds()*1e3/float64(ours.n), "visit-ms")
			b.ReportMetric(float64(ours.wall)/float64(theirs.wall), "ms-ratio")
			b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "server-cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// spent sums wall time and a server process's CPU time.
type spent struct {
	n    int
	wall time.Duration
	cpu  time.Duration
}

func (s *spent) add(tb testing.TB, pid uint32, f func()) {
	tb.Helper()
	before, start := cpuOf(tb, pid), time.Now()
	f()
	s.wall += time.Since(start)
	s.cpu += cpuOf(tb, pid) - before
	s.n++
}

// cpuOf reads the CPU time of a process's main thread, in nanoseconds.
func cpuOf(tb testing.TB, pid uint32) time.Duration {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		tb.Skip("no /proc/PID/schedstat on this system")
	}
	ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(ns)
}
