package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// busyServer makes ticks of a server with fifty sessions at work: statements of
// a fraction of a second to many, in transactions or not, some waits for locks.
type busyServer struct {
	r        *rand.Rand
	sessions []busySession
	xid      int64
}

type busySession struct {
	until              time.Time
	wait               int16
	query              int32
	start, xact, since int64
}

const (
	busySessions   = 50
	busyStatements = 400
)

func (b *busyServer) tick(at, t0 time.Time) sample.Tick {
	b.xid += 300 + b.r.Int64N(100)
	k := sample.Tick{
		Planned: at, Started: at.Add(time.Duration(b.r.IntN(4)) * time.Millisecond), Window: t0, Span: 15 * time.Second, Cadence: time.Second,
		Duration: time.Duration(700+b.r.IntN(700)) * time.Microsecond, Backends: 80 + b.r.Int32N(4), NextXID: b.xid,
	}
	for i := range b.sessions {
		n := &b.sessions[i]
		if at.After(n.until) {
			n.start = at.Add(-time.Duration(b.r.IntN(990_000)) * time.Microsecond).UnixMicro()
			if b.r.IntN(3) > 0 || n.xact == 0 {
				n.xact = n.start - b.r.Int64N(2)*b.r.Int64N(400_000)
			}
			n.since = n.start
			n.query = 1 + int32(b.r.IntN(1+b.r.IntN(busyStatements)))
			n.until = at.Add(time.Duration(b.r.ExpFloat64() * 2e9))
		}
		if b.r.IntN(2) == 0 {
			n.wait = 1 + int16(b.r.IntN(1+b.r.IntN(14)))
		}
		s := sample.Session{
			Session: int32(i + 1), Wait: n.wait, Class: sample.ClassCPU, Query: n.query, QueryStart: n.start, XactStart: n.xact, StateChange: n.since,
			Xmin: uint32(b.xid - b.r.Int64N(100)), Blocker: sample.Unset,
		}
		if n.wait == 9 && i > 0 {
			s.Blocker = 1
			k.Edges = append(k.Edges, sample.Edge{Blocked: s.Session, Blocker: 1, Lock: 1})
		}
		k.Sessions = append(k.Sessions, s)
	}
	return k
}

// seedBusyDay stores hours of a server, with its dictionaries.
func seedBusyDay(tb testing.TB, s *Store, server target.ID, begin time.Time, hours int) {
	tb.Helper()
	b := busyServer{r: rand.New(rand.NewPCG(uint64(server), 1)), sessions: make([]busySession, busySessions), xid: 1e6}
	day := sample.Day(begin)
	var e sample.Entries
	for id := range int32(3000) { // the pool's connections are made anew every half an hour
		e.Sessions = append(e.Sessions, sample.SessionEntry{
			ID: id + 1, Day: day, PID: 1000 + id, BackendStart: begin.UnixMicro(), Database: "shop", User: "shop_app", Application: "shop-web",
			DatabaseOID: 16384, UserOID: 10, ClientAddr: "10.0.0.7", BackendType: "client backend",
		})
	}
	for id := range int16(15) {
		e.Waits = append(e.Waits, sample.WaitEntry{ID: id + 1, State: "active", Type: "IO", Event: fmt.Sprint("Event", id)})
	}
	for id := range int32(busyStatements) {
		e.Queries = append(e.Queries, sample.QueryEntry{
			ID: id + 1, Day: day, QueryID: b.r.Int64(),
			Text: fmt.Sprintf("select o.id, o.total, c.name from orders o join customers c on c.id = o.customer_id where o.t%d = ? and o.state in (?, ?) order by o.id limit ?", id),
		})
	}
	batch := sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: e}}}
	for i := range hours * 240 {
		t0 := begin.Add(time.Duration(i) * 15 * time.Second)
		ticks := make([]sample.Tick, 15)
		for k := range ticks {
			ticks[k] = b.tick(t0.Add(time.Duration(k)*time.Second), t0)
		}
		batch.Windows = append(batch.Windows, sample.NewWindow(server, ticks))
		if len(batch.Windows) == 60 {
			if err := s.Append(tb.Context(), batch); err != nil {
				tb.Fatal(err)
			}
			batch = sample.Batch{}
		}
	}
}

// BenchmarkPack packs a day of a server of fifty sessions at work, a tick a
// second, and says what a session sample takes with all that belongs to it.
func BenchmarkPack(b *testing.B) {
	dsn := pgtest.StatsDB(b)
	s := openStoreAt(b, dsn)
	const hours = 24
	day := noon.Truncate(24 * time.Hour)
	for i := range target.ID(b.N) {
		seedBusyDay(b, s, i+1, day, hours)
	}
	size := func() float64 {
		return pgtest.Value[float64](b, dsn, `
select sum(pg_total_relation_size(c.oid))::float8
  from pg_class c
 where c.relnamespace = 'history'::regnamespace and c.relkind = 'r' and c.relname ~ '^(activity_window|session|query|wait|lock)'`)
	}
	samples := pgtest.Value[float64](b, dsn, "select sum(samples)::float8 from history.activity_window")
	before := size()
	var most uint64
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	idle := m.HeapInuse
	p := packer{s: s, reached: func(string) error {
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
		return nil
	}}
	b.ResetTimer()
	start := time.Now()
	var packed PackedDay
	if err := p.run(b.Context(), packNow, func(d PackedDay) { packed = d }); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	b.StopTimer()
	b.ReportMetric(before/samples, "B/sample-before")
	b.ReportMetric(size()/samples, "B/sample-after")
	b.ReportMetric(float64(packed.BytesAfter)/samples, "B/sample-windows")
	b.ReportMetric(took.Seconds()/float64(b.N), "s/server")
	b.ReportMetric(float64(most-min(most, idle))/(1<<20), "MiB-heap")
}
