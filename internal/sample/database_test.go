package sample

import (
	"math/rand/v2"
	"testing"
	"time"
)

// start is the instant that tests count from.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stat is a sample of database 5 at start plus seconds.
func stat(seconds int, commits int64, change ...func(*DatabaseStat)) *DatabaseStat {
	d := &DatabaseStat{At: start.Add(time.Duration(seconds) * time.Second), OID: 5, StatsReset: 77, Backends: Int{3, true}}
	d.Counters[XactCommit] = Int{commits, true}
	d.Timers[SessionTime] = Float{float64(commits) / 2, true}
	for _, c := range change {
		c(d)
	}
	return d
}

func TestSince(t *testing.T) {
	t.Parallel()
	before := stat(0, 100)
	before.Epoch = start.Add(-time.Hour)
	for _, c := range []struct {
		name     string
		prev     *DatabaseStat
		cur      *DatabaseStat
		restart  bool
		newEpoch bool
		commits  Int
		session  Float
	}{
		{name: "goes on", prev: before, cur: stat(10, 130), commits: Int{30, true}, session: Float{15, true}},
		{name: "nothing happened", prev: before, cur: stat(10, 100), commits: Int{0, true}, session: Float{0, true}},
		{name: "first sample", cur: stat(10, 130), newEpoch: true},
		{name: "restart", prev: before, cur: stat(10, 130), restart: true, newEpoch: true},
		{name: "stats_reset", prev: before, cur: stat(10, 130, func(d *DatabaseStat) { d.StatsReset++ }), newEpoch: true},
		{name: "counter went back", prev: before, cur: stat(10, 99), newEpoch: true},
		{name: "other oid", prev: before, cur: stat(10, 130, func(d *DatabaseStat) { d.OID++ }), newEpoch: true},
		{name: "no time passed", prev: before, cur: stat(0, 130), newEpoch: true},
		{name: "time went back", prev: before, cur: stat(-1, 130), newEpoch: true},
		{
			name: "timer went back by itself", prev: before,
			cur:     stat(10, 130, func(d *DatabaseStat) { d.Timers[SessionTime].V = 1 }),
			commits: Int{30, true}, session: Float{0, true},
		},
		{
			name: "column became unknown", prev: before,
			cur:     stat(10, 130, func(d *DatabaseStat) { d.Counters[XactCommit] = Int{} }),
			session: Float{15, true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cur.Since(c.prev, !c.restart)
			wantEpoch, wantInterval := start.Add(-time.Hour), 10*time.Second
			if c.newEpoch {
				wantEpoch, wantInterval = c.cur.At, 0
			}
			if !c.cur.Epoch.Equal(wantEpoch) || c.cur.Interval != wantInterval {
				t.Errorf("epoch %s, interval %s; want %s, %s", c.cur.Epoch, c.cur.Interval, wantEpoch, wantInterval)
			}
			if got := c.cur.CounterDeltas[XactCommit]; got != c.commits {
				t.Errorf("commits: got %v, want %v", got, c.commits)
			}
			if got := c.cur.TimerDeltas[SessionTime]; got != c.session {
				t.Errorf("session time: got %v, want %v", got, c.session)
			}
			if got := c.cur.CounterDeltas[Deadlocks]; got.Known {
				t.Errorf("a column that the server does not have has the delta %v", got)
			}
		})
	}
}

// TestSinceForgetsItself says that deltas computed before do not shine
// through.
func TestSinceForgetsItself(t *testing.T) {
	t.Parallel()
	cur := stat(10, 130)
	cur.Since(stat(0, 100), true)
	cur.Since(nil, true)
	if cur.CounterDeltas[XactCommit].Known || cur.Interval != 0 || !cur.Epoch.Equal(cur.At) {
		t.Errorf("deltas of an earlier call are left: %v over %s", cur.CounterDeltas[XactCommit], cur.Interval)
	}
}

// TestDeltasAddUp drives random counters with all kinds of resets: no delta
// is negative, and in each epoch they add up to last minus first.
func TestDeltasAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var prev *DatabaseStat
		first, sum, epochs := [NumCounters]int64{}, [NumCounters]int64{}, 0
		at := start
		cur := DatabaseStat{OID: 5}
		for i := range cur.Counters {
			cur.Counters[i] = Int{r.Int64N(1 << 40), true}
		}
		for step := range 200 {
			at = at.Add(time.Duration(1+r.IntN(20)) * time.Second)
			cur.At = at
			same := true
			for i := range cur.Counters {
				cur.Counters[i].V += r.Int64N(1000)
			}
			for i := range cur.Timers {
				cur.Timers[i] = Float{cur.Timers[i].V + r.Float64() - 0.01, true}
			}
			switch r.IntN(20) {
			case 0: // restart that keeps the counters, as after a clean stop
				same = false
			case 1: // reset
				cur.StatsReset++
				cur.Counters = [NumCounters]Int{}
				for i := range cur.Counters {
					cur.Counters[i].Known = true
				}
			case 2: // one that nothing announces
				cur.Counters[r.IntN(len(cur.Counters))].V = 0
			}
			next := cur
			next.Since(prev, same)
			if next.Interval == 0 {
				epochs++
				sum = [NumCounters]int64{}
				for i, c := range next.Counters {
					first[i] = c.V
				}
			} else if !next.Epoch.Equal(prev.Epoch) {
				t.Fatalf("seed %d, step %d: an epoch with an interval begins", seed, step)
			}
			for i, d := range next.CounterDeltas {
				sum[i] += d.V
				if d.V < 0 {
					t.Fatalf("seed %d, step %d: delta %d of counter %d", seed, step, d.V, i)
				}
				if got := next.Counters[i].V - first[i]; got != sum[i] {
					t.Fatalf("seed %d, step %d: deltas of counter %d add up to %d, it grew by %d", seed, step, i, sum[i], got)
				}
			}
			for i, d := range next.TimerDeltas {
				if d.V < 0 {
					t.Fatalf("seed %d, step %d: delta %f of timer %d", seed, step, d.V, i)
				}
			}
			prev = &next
		}
		if epochs < 5 {
			t.Fatalf("seed %d: only %d epochs: the test does not reset enough", seed, epochs)
		}
	}
}
