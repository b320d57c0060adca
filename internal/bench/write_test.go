package bench

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/spool"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

// worker is one synthetic session.
type worker struct {
	id          int32
	life        int // ticks between statements: 1 a new one every tick
	left        int
	query       int32
	queryStart  int64
	xactStart   int64
	wait        int16
	class       sample.WaitClass
	waitsLeft   int
	longestLife int
}

// load makes ticks of fifty active sessions.
type load struct {
	rnd     *rand.Rand
	zipf    *rand.Zipf
	workers []worker
	xid     int64
}

func newLoad(seed uint64) *load {
	rnd := rand.New(rand.NewPCG(seed, 1))
	l := &load{rnd: rnd, zipf: rand.NewZipf(rnd, 1.2, 4, 299), xid: 1_000_000}
	for i := range 50 {
		w := worker{id: int32(i + 1)}
		switch {
		case i < 8:
			w.life, w.longestLife = 300, 6000
		case i < 20:
			w.life, w.longestLife = 5, 60
		default:
			w.life, w.longestLife = 1, 1
		}
		l.workers = append(l.workers, w)
	}
	return l
}

func (l *load) tick(at, window time.Time) sample.Tick {
	t := sample.Tick{
		Planned: at, Started: at.Add(time.Duration(l.rnd.IntN(3)) * time.Millisecond), Window: window, Span: 15 * time.Second,
		Cadence: time.Second, Duration: time.Duration(500+l.rnd.IntN(900)) * time.Microsecond, Backends: 150, NextXID: l.xid,
	}
	l.xid += int64(500 + l.rnd.IntN(500))
	for i := range l.workers {
		w := &l.workers[i]
		if w.left--; w.left < 0 {
			w.left = w.life
			if w.longestLife > w.life {
				w.left += l.rnd.IntN(w.longestLife - w.life)
			}
			w.query = int32(l.zipf.Uint64()) + 1
			w.queryStart = at.UnixMicro() - int64(l.rnd.IntN(900_000))
			w.xactStart = w.queryStart
			if l.rnd.IntN(3) == 0 { // not the first statement of its transaction
				w.xactStart -= int64(l.rnd.IntN(200_000))
			}
			w.waitsLeft = 0
		}
		if w.waitsLeft--; w.waitsLeft < 0 {
			w.waitsLeft = l.rnd.IntN(max(1, w.life/3))
			w.wait = int16(min(l.rnd.ExpFloat64()*6, 42)) + 1
			w.class = sample.WaitClass(uint8(w.wait) % uint8(sample.ClassOther))
		}
		t.Sessions = append(t.Sessions, sample.Session{
			Session: w.id, Wait: w.wait, Class: w.class, Query: w.query, QueryStart: w.queryStart, XactStart: w.xactStart,
			StateChange: w.queryStart, Xmin: uint32(t.NextXID - int64(l.rnd.IntN(100))), Blocker: sample.Unset,
		})
	}
	return t
}

// BenchmarkWrite measures the path from the journal's ticks to committed rows,
// with the windows of a hundred servers in one transaction: samples a second,
// CPU of both sides, and bytes on disk with indexes and TOAST.
func BenchmarkWrite(b *testing.B) {
	const servers, windows, ticks = 100, 20, 15
	dsn := pgtest.StatsDB(b)
	db := pgtest.OpenStatsDB(b, statsdb.Config{DSN: secret.New(dsn), MaxConns: 1})
	stats := store.New(db)
	start := time.Now().UTC().Truncate(time.Hour).Add(-24 * time.Hour)
	if err := stats.EnsurePartitions(b.Context(), start, start.Add(30*time.Hour)); err != nil {
		b.Fatal(err)
	}
	pid := backendOf(b, db.Pool())
	var samples int64
	var wall, client, server time.Duration
	round := 0
	for b.Loop() {
		base := start.Add(time.Duration(round) * windows * 15 * time.Second)
		round++
		for w := range windows {
			t0 := base.Add(time.Duration(w) * 15 * time.Second)
			all := make([][]sample.Tick, servers)
			for s := range all {
				l := newLoad(uint64(round*1_000_000 + s*1000 + w))
				for i := range 40 + ticks { // the first forty settle the mix
					at := t0.Add(time.Duration(i-40) * time.Second)
					if t := l.tick(at, t0); i >= 40 {
						all[s] = append(all[s], t)
					}
				}
			}
			cpu, begin, backend := selfCPU(b), time.Now(), cpuOf(b, pid)
			batch := sample.Batch{}
			for s, ts := range all {
				batch.Windows = append(batch.Windows, sample.NewWindow(target.ID(s+1), ts))
			}
			if err := stats.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			wall += time.Since(begin)
			client += selfCPU(b) - cpu
			server += cpuOf(b, pid) - backend
			samples += servers * ticks * 50
		}
	}
	if samples == 0 {
		b.Fatal("nothing written")
	}
	bytes := pgtest.Value[int64](b, dsn, `
select sum(pg_total_relation_size(c.oid))::bigint
  from pg_class c join pg_inherits i on i.inhrelid = c.oid
 where i.inhparent in ('history.activity_window'::regclass, 'history.activity_minute'::regclass)`)
	b.ReportMetric(float64(samples)/wall.Seconds()/1e6, "Msamples/s")
	b.ReportMetric(float64(server.Nanoseconds())/float64(samples), "server-ns/sample")
	b.ReportMetric(float64(client.Nanoseconds())/float64(samples), "client-ns/sample")
	b.ReportMetric(float64(bytes)/float64(samples), "bytes/sample")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkJournal measures a second of a hundred servers through the
// journal: encoding, one fsync, and reading it back.
func BenchmarkJournal(b *testing.B) {
	j, err := spool.Open(spool.Config{Dir: b.TempDir(), MaxBytes: 1 << 30, Log: discard()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	l := newLoad(1)
	window := time.Now().UTC().Truncate(15 * time.Second)
	var ticks []sample.Tick
	for i := range 100 {
		ticks = append(ticks, l.tick(window.Add(time.Duration(i%15)*time.Second), window))
	}
	var seq uint64
	samples := 0
	cpu := selfCPU(b)
	for b.Loop() {
		for i := range ticks {
			j.Append(&sample.Visit{Server: target.ID(i + 1), Tick: &ticks[i]})
			samples += len(ticks[i].Sessions)
		}
		if err := j.Sync(); err != nil {
			b.Fatal(err)
		}
		records, err := j.Next(seq, 1<<30)
		if err != nil || len(records) != 1 || len(records[0].Visits) != 100 {
			b.Fatalf("%d records: %v", len(records), err)
		}
		seq = records[0].Seq
		j.Done(seq)
	}
	b.ReportMetric(float64((selfCPU(b)-cpu).Nanoseconds())/float64(samples), "cpu-ns/sample")
}

func backendOf(tb testing.TB, pool *pgxpool.Pool) uint32 {
	tb.Helper()
	var pid uint32
	if err := pool.QueryRow(context.Background(), "select pg_backend_pid()").Scan(&pid); err != nil {
		tb.Fatal(err)
	}
	return pid
}

// selfCPU reads this process's CPU time, user and system.
func selfCPU(tb testing.TB) time.Duration {
	tb.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
