package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// start is the instant that tests count from.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stat is a row of database 5 at start plus seconds.
func stat(seconds int, commits int64, change ...func(*DatabaseStat)) *DatabaseStat {
	at := start.Add(time.Duration(seconds) * time.Second)
	d := &DatabaseStat{Planned: at, At: at, OID: 5, StatsReset: 77, Backends: Int{3, true}}
	d.Counters[XactCommit] = Int{commits, true}
	d.Timers[SessionTime] = Float{float64(commits) / 2, true}
	for _, c := range change {
		c(d)
	}
	return d
}

func TestDelta(t *testing.T) {
	t.Parallel()
	before := stat(0, 100)
	for _, c := range []struct {
		name    string
		cur     *DatabaseStat
		unknown bool
		since   int // seconds before which nothing was added
		commits Int
		session Float
	}{
		{name: "goes on", cur: stat(10, 130), commits: Int{30, true}, session: Float{15, true}},
		{name: "nothing happened", cur: stat(10, 100), commits: Int{0, true}, session: Float{0, true}},
		{
			name: "quiet before", since: 7, cur: stat(10, 130, func(d *DatabaseStat) { d.PreviousAt = start.Add(7 * time.Second) }),
			commits: Int{30, true}, session: Float{15, true},
		},
		{
			name: "another's look before", cur: stat(10, 130, func(d *DatabaseStat) { d.PreviousAt = start.Add(-time.Second) }),
			commits: Int{30, true}, session: Float{15, true},
		},
		{name: "restart", cur: stat(10, 130, func(d *DatabaseStat) { d.Instance++ }), unknown: true},
		{name: "stats_reset", cur: stat(10, 130, func(d *DatabaseStat) { d.StatsReset++ }), unknown: true},
		{name: "counter went back", cur: stat(10, 99), unknown: true},
		{name: "other oid", cur: stat(10, 130, func(d *DatabaseStat) { d.OID++ }), unknown: true},
		{name: "no time passed", cur: stat(0, 130), unknown: true},
		{name: "time went back", cur: stat(-1, 130), unknown: true},
		{name: "a day passed", cur: stat(86400, 130), commits: Int{30, true}, session: Float{15, true}},
		{name: "more than a day passed", cur: stat(86401, 130), unknown: true},
		{
			name: "timer went back by itself", cur: stat(10, 130, func(d *DatabaseStat) { d.Timers[SessionTime].V = 1 }),
			commits: Int{30, true}, session: Float{0, true},
		},
		{
			name: "column became unknown", cur: stat(10, 130, func(d *DatabaseStat) { d.Counters[XactCommit] = Int{} }),
			session: Float{15, true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := c.cur.Delta(before)
			if ok == c.unknown {
				t.Fatalf("known: %t", ok)
			}
			if ok && (!got.Since.Equal(before.At) || !got.Until.Equal(c.cur.At) || !got.From.Equal(start.Add(time.Duration(c.since)*time.Second))) {
				t.Errorf("since %s, from %s, until %s", got.Since, got.From, got.Until)
			}
			if got.Counters[XactCommit] != c.commits || got.Timers[SessionTime] != c.session || got.Counters[Deadlocks].Known {
				t.Errorf("commits %v, session time %v, deadlocks %v", got.Counters[XactCommit], got.Timers[SessionTime], got.Counters[Deadlocks])
			}
		})
	}
}

// TestDeltasAddUp drives random counters with all kinds of resets: no delta is
// negative, and between two resets they add up to last minus first, whatever
// buckets they are shared out to.
func TestDeltasAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		var rows []DatabaseStat
		var grown [NumCounters]int64 // what was added that can be known
		at, resets := start, 0
		cur := DatabaseStat{OID: 5, Instance: 1}
		for i := range cur.Counters {
			cur.Counters[i] = Int{r.Int64N(1 << 40), true}
		}
		for range 200 {
			at = at.Add(time.Duration(1+r.IntN(400)) * time.Second)
			cur.At, cur.Planned, cur.PreviousAt = at.Add(time.Duration(r.IntN(1000))*time.Millisecond), at, time.Time{}
			if r.IntN(2) == 0 {
				cur.PreviousAt = cur.At.Add(-time.Duration(1+r.IntN(1000)) * time.Second)
			}
			var added [NumCounters]int64
			for i := range cur.Counters {
				added[i] = r.Int64N(1000)
				cur.Counters[i].V += added[i]
			}
			for i := range cur.Timers {
				cur.Timers[i] = Float{cur.Timers[i].V + r.Float64() - 0.01, true}
			}
			known := len(rows) > 0
			switch r.IntN(20) {
			case 0: // restart that keeps the counters, as after a clean stop
				cur.Instance++
				known = false
			case 1: // reset
				cur.StatsReset++
				for i := range cur.Counters {
					cur.Counters[i].V = 0
				}
				known = false
			case 2: // one that nothing announces
				cur.Counters[r.IntN(len(cur.Counters))].V = -1 - int64(len(rows))
				known = false
			}
			if known {
				for i := range grown {
					grown[i] += added[i]
				}
			} else {
				resets++
			}
			rows = append(rows, cur)
		}
		step := []time.Duration{time.Second, time.Minute, 10 * time.Minute}[r.IntN(3)]
		var got [NumCounters]int64
		counted := 0.0
		for i, s := range SumDatabase(rows, nil, start.Truncate(step), at.Add(time.Hour).Truncate(step), step) {
			for c, v := range s.Counters {
				if got[c] += v.V; v.V < 0 {
					t.Fatalf("seed %d, bucket %d: %d of counter %d", seed, i, v.V, c)
				}
			}
			for c, v := range s.Timers {
				if v.V < 0 {
					t.Fatalf("seed %d, bucket %d: %f of timer %d", seed, i, v.V, c)
				}
			}
			if counted += s.CountedSeconds; s.CountedSeconds > step.Seconds()+1e-6 || s.Seconds > step.Seconds()+1e-6 {
				t.Fatalf("seed %d, bucket %d: counted %g s of %s", seed, i, s.CountedSeconds, step)
			}
		}
		if got != grown || resets < 10 {
			t.Fatalf("seed %d, %d resets: counted %v, was %v", seed, resets, got, grown)
		}
	}
}

// TestStretches says for how long a row stands and counts, and what looks add to
// that.
func TestStretches(t *testing.T) {
	t.Parallel()
	seconds := func(at time.Time) int { return int(at.Sub(start) / time.Second) }
	looks := func(all ...int) (times []time.Time) {
		for _, s := range all {
			times = append(times, start.Add(time.Duration(s)*time.Second))
		}
		return times
	}
	restarted := func(d *DatabaseStat) { d.Instance++ }
	for _, c := range []struct {
		name    string
		rows    []DatabaseStat
		looks   []time.Time
		stands  []int
		counted []int // from each row on, until
	}{
		{"one row", []DatabaseStat{*stat(0, 1)}, nil, []int{0}, []int{0}},
		{"looks without another", []DatabaseStat{*stat(0, 1)}, looks(0, 10, 320), []int{320}, []int{320}},
		{"looks go on, but it is gone", []DatabaseStat{*stat(0, 1)}, looks(0, 10, 320, 330, 340, 350), []int{330}, []int{330}},
		{"another row", []DatabaseStat{*stat(0, 1), *stat(10, 2)}, looks(0, 10, 20), []int{10, 20}, []int{10, 20}},
		{"nobody looked for an hour", []DatabaseStat{*stat(0, 1), *stat(3600, 2)}, looks(0, 10, 3600), []int{330, 3600}, []int{3600, 3600}},
		{"restart", []DatabaseStat{*stat(0, 1), *stat(100, 2, restarted)}, looks(0, 10, 80, 100, 110), []int{100, 110}, []int{80, 110}},
	} {
		var stands, counted []int
		for s := range Stretches(c.rows, c.looks) {
			stands, counted = append(stands, seconds(s.Stands)), append(counted, seconds(s.Delta.Until))
		}
		if !slices.Equal(stands, c.stands) || !slices.Equal(counted, c.counted) {
			t.Errorf("%s: stands until %v, counted until %v; want %v, %v", c.name, stands, counted, c.stands, c.counted)
		}
	}
}

// A database that was quiet for most of the time did all that it did at the end.
func TestQuietTimeIsCounted(t *testing.T) {
	t.Parallel()
	rows := []DatabaseStat{*stat(0, 0), *stat(290, 1000, func(d *DatabaseStat) { d.PreviousAt = start.Add(280 * time.Second) })}
	sums := SumDatabase(rows, nil, start, start.Add(5*time.Minute), 10*time.Second)
	for i, s := range sums {
		want := Int{0, true}
		if i == 28 {
			want.V = 1000
		}
		if i < 29 && (s.CountedSeconds != 10 || s.Counters[XactCommit] != want || math.Abs(s.BackendSeconds-30) > 1e-9) {
			t.Errorf("bucket %d: %+v", i, s)
		}
	}
	if !sums[29].LastAt.Equal(rows[1].At) || sums[29].CountedSeconds != 0 || sums[0].MaxBackends != (Int{3, true}) {
		t.Errorf("the last bucket: %+v", sums[29])
	}
}
