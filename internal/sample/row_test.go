package sample_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
)

var bucket = time.Date(2026, 11, 30, 3, 10, 0, 0, time.UTC)

// row makes one row of ticks.
func row(ticks []sample.Tick) sample.Row {
	rows := []*sample.Row{{Server: 7, Bucket: bucket}}
	for i := range ticks {
		r := sample.NewRow(7, &ticks[i])
		rows = append(rows, &r)
	}
	return sample.Merge(rows...)
}

// However the ticks of a bucket come together, in whatever order, however often
// some of them come, the row is the same.
func TestMergeDependsOnTicksAlone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		ticks := sampletest.Ticks(rnd, bucket, rnd.IntN(8))
		want := row(slices.Clone(ticks))
		rows := make([]*sample.Row, 1+rnd.IntN(40))
		for i := range rows {
			var mine []sample.Tick
			for _, one := range ticks {
				if rnd.IntN(len(rows)) == 0 {
					mine = append(mine, one)
				}
			}
			r := row(mine)
			rows[i] = &r
		}
		all := row(slices.Clone(ticks))
		rows = append(rows, &all)
		rnd.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		got := sample.Merge(rows...)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: merged in another order (-want +got):\n%s", seed, diff)
		}
		cut := rnd.IntN(len(rows))
		one, other := sample.Merge(rows[:cut+1]...), sample.Merge(rows[cut:]...)
		if diff := gocmp.Diff(want, sample.Merge(&other, &one, &other)); diff != "" {
			t.Fatalf("seed %d: merged twice (-want +got):\n%s", seed, diff)
		}
		if !got.Fits() {
			t.Fatalf("seed %d: a merged row does not fit itself", seed)
		}
	}
}

// The better one of two looks at one second is taken whole.
func TestMergeTakesTheBetterLook(t *testing.T) {
	t.Parallel()
	at := bucket.Add(5200 * time.Millisecond)
	look := func(outcome sample.Outcome, burst bool, delay time.Duration, session sample.Key) sample.Tick {
		t := sample.Tick{Planned: at, Started: at.Add(delay), Cadence: time.Second, Outcome: outcome, Burst: burst}
		if outcome.Answered() {
			t.Sessions = []sample.Session{{Session: session, Wait: 1}}
		}
		return t
	}
	inOrder := []sample.Tick{
		look(sample.OK, true, time.Second, 9), look(sample.OK, false, 0, 8), look(sample.OK, false, time.Millisecond, 1), look(sample.OK, false, time.Millisecond, 2),
		look(sample.Degraded, true, 0, 3), look(sample.Failed, false, 0, 0), look(sample.Skipped, false, 0, 0),
	}
	for i := range inOrder {
		for j := range inOrder {
			want, got := row(inOrder[min(i, j):][:1]), row([]sample.Tick{inOrder[i], inOrder[j]})
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("look %d beside %d (-want +got):\n%s", i, j, diff)
			}
		}
	}
}

// What is longer ago than a row can say stays as long ago as it can say.
func TestRowClamps(t *testing.T) {
	t.Parallel()
	tick := sample.Tick{Planned: bucket, Started: bucket, Cadence: time.Second, Sessions: []sample.Session{{
		Session: 1, Wait: 1, QueryStart: bucket.UnixMicro() - 1e15, XactStart: bucket.UnixMicro() - 2e15, StateChange: bucket.UnixMicro(),
	}}}
	once := row([]sample.Tick{tick})
	if diff := gocmp.Diff(once, sample.Merge(&once, &once)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if got := once.QueryStart[0]; got != sample.Unset+1 {
		t.Errorf("query start %d", got)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 12))
	var ticks []sample.Tick
	for i := range 60 {
		ticks = append(ticks, sampletest.Tick(rnd, bucket.Add(time.Duration(i)*10*time.Second), 10*time.Second, 6000))
	}
	crowded := sampletest.Tick(rnd, bucket.Add(5*time.Second), 10*time.Second, 10)
	crowded.Outcome, crowded.Sessions, crowded.Edges = sample.OK, nil, nil
	for i := range sample.Key(sample.MaxPart + 100) {
		crowded.Edges = append(crowded.Edges, sample.Edge{Blocked: i + 1, Blocker: 1, Lock: 1})
	}
	whole := row(append(ticks, crowded))
	parts := sample.Split(&whole)
	if len(parts) < 3 {
		t.Fatalf("%d samples in %d parts", len(whole.Tick), len(parts))
	}
	var all []*sample.Row
	cut, last := int32(0), int32(-1)
	for i := range parts {
		p := &parts[i]
		if n := len(p.Tick) + len(p.EdgeTick); n > sample.MaxPart && len(p.Planned) > 1 {
			t.Errorf("part %d has %d samples and edges", i, n)
		}
		if p.Planned[0] <= last {
			t.Errorf("part %d begins at %d, the one before ends at %d", i, p.Planned[0], last)
		}
		last = p.Planned[len(p.Planned)-1]
		for _, n := range p.EdgesCut {
			cut += n
		}
		all = append(all, p)
	}
	if cut != 100 {
		t.Errorf("%d edges are cut, want 100", cut)
	}
	if !reflect.DeepEqual(whole, sample.Merge(all...)) { // too much to show a difference of
		t.Error("the parts together are not the whole")
	}
}

// recount counts the ticks of a bucket one by one.
func recount(ticks []sample.Tick, from, to time.Time) sample.Summary {
	s := sample.Summary{MaxBackends: sample.Unset}
	var before *sample.Tick
	var seen, answered time.Time
	for i := range ticks {
		n := &ticks[i]
		if n.Planned.Before(from) || !n.Planned.Before(to) {
			continue
		}
		if before == nil {
			s.First, s.FirstCadence = n.Planned, n.Cadence
		} else {
			for at := before.Planned.Add(before.Cadence); at.Before(n.Planned); at = at.Add(before.Cadence) {
				s.Missing++
			}
		}
		s.Last, s.Cadence = n.Planned, n.Cadence
		s.Outcomes[n.Outcome]++
		if n.Outcome != sample.OK {
			if s.Faults == nil {
				s.Faults = map[sample.Fault]int64{}
			}
			s.Faults[sample.Fault{Outcome: n.Outcome, Reason: n.Reason}]++
		}
		if n.Outcome.Answered() {
			if answered = n.Started; seen.IsZero() {
				s.FirstSeen = answered
			} else {
				s.Gap = max(s.Gap, answered.Sub(seen))
			}
			seen, s.LastSeen = answered, answered
		}
		load := int32(0)
		for _, session := range n.Sessions {
			if session.Class.Load() {
				s.Classes[session.Class]++
				s.Samples++
				load++
			}
		}
		s.MaxSessions, s.MaxBackends = max(s.MaxSessions, load), max(s.MaxBackends, n.Backends)
		before = n
	}
	return s
}

// Summaries of stretches that follow each other, wherever they are cut, add up
// to what a recount of the ticks says.
func TestSummariesAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 13))
		ticks := sampletest.Ticks(rnd, bucket, rnd.IntN(6))
		r := row(slices.Clone(ticks))
		ticks = chosen(ticks)
		ends := []time.Time{bucket, bucket.Add(sample.BucketLength)}
		for range rnd.IntN(50) {
			ends = append(ends, bucket.Add(time.Duration(rnd.Int64N(int64(sample.BucketLength)))))
		}
		slices.SortFunc(ends, time.Time.Compare)
		sum := sample.Summary{MaxBackends: sample.Unset}
		for i, end := range ends[1:] {
			part := r.Summary(ends[i], end)
			if diff := gocmp.Diff(recount(ticks, ends[i], end), part); diff != "" {
				t.Fatalf("seed %d: from %s to %s (-want +got):\n%s", seed, ends[i], end, diff)
			}
			sum.Add(&part)
		}
		if diff := gocmp.Diff(recount(ticks, ends[0], ends[len(ends)-1]), sum); diff != "" {
			t.Fatalf("seed %d: all together (-want +got):\n%s", seed, diff)
		}
	}
}

// chosen are the ticks that a row takes, in the order of time: which one of
// several looks, TestMergeTakesTheBetterLook says.
func chosen(ticks []sample.Tick) []sample.Tick {
	var all []sample.Tick
	for i := 0; i < len(ticks); {
		end := i
		for end < len(ticks) && ticks[end].Planned.Equal(ticks[i].Planned) {
			end++
		}
		best := row(slices.Clone(ticks[i:end]))
		for _, one := range ticks[i:end] {
			if alone := row([]sample.Tick{one}); gocmp.Equal(best, alone) {
				all = append(all, one)
				break
			}
		}
		i = end
	}
	return all
}

func labelsOf(session sample.Key) (l sample.Labels) {
	if session%4 == 0 {
		return l // of some nothing is known
	}
	for i := range l {
		l[i] = session % sample.Key(2+i)
	}
	return l
}

// A tally counts what a count tick by tick counts, in one part or several.
func TestTally(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 14))
		ticks := sampletest.Ticks(rnd, bucket, rnd.IntN(12))
		r := row(slices.Clone(ticks))
		ticks = chosen(ticks)
		var c sample.Tally
		parts := 1 + rnd.IntN(5)
		for i := range parts {
			lo, hi := i*len(ticks)/parts, (i+1)*len(ticks)/parts
			part := row(slices.Clone(ticks[lo:hi]))
			c.Add(&part, labelsOf)
		}
		var whole sample.Tally
		whole.Add(&r, labelsOf)
		for d := sample.ByWait; d <= sample.ByBackendType; d++ {
			got := c.Rollup(d)
			if diff := gocmp.Diff(whole.Rollup(d), got); diff != "" {
				t.Fatalf("seed %d: dimension %d in %d parts (-whole +parts):\n%s", seed, d, parts, diff)
			}
			samples, peaks, answered := map[sample.Key]int64{}, map[sample.Key]int32{}, int64(0)
			for _, n := range ticks {
				if n.Outcome.Answered() {
					answered++
				}
				now := map[sample.Key]int32{}
				for _, s := range n.Sessions {
					if !s.Class.Load() {
						continue
					}
					key := s.Wait
					switch {
					case d == sample.ByQuery:
						key = s.Query
					case d >= sample.ByDatabase:
						key = labelsOf(s.Session)[d-sample.ByDatabase]
					}
					now[key]++
					samples[key]++
					peaks[key] = max(peaks[key], now[key])
				}
			}
			if got.Ticks != answered || len(got.Keys) != min(len(samples), sample.MaxKeys) {
				t.Fatalf("seed %d: dimension %d: %d ticks and %d keys, want %d and %d", seed, d, got.Ticks, len(got.Keys), answered, len(samples))
			}
			for i, k := range got.Keys {
				if got.KeySamples[i] != samples[k] || got.KeyPeaks[i] != peaks[k] {
					t.Fatalf("seed %d: dimension %d: key %d has %d samples, peak %d, want %d and %d", seed, d, k, got.KeySamples[i], got.KeyPeaks[i], samples[k], peaks[k])
				}
			}
		}
	}
}

// busyRow is ten minutes of fifty active sessions.
func busySlots() []*sample.Row {
	rnd := rand.New(rand.NewPCG(1, 15))
	var slots []*sample.Row
	for at := time.Duration(0); at < sample.BucketLength; at += sample.SlotLength {
		var ticks []sample.Tick
		for s := range 15 {
			t := sampletest.Tick(rnd, bucket.Add(at+time.Duration(s)*time.Second), time.Second, 75)
			t.Outcome, t.Edges = sample.OK, nil
			ticks = append(ticks, t)
		}
		r := row(ticks)
		slots = append(slots, &r)
	}
	return slots
}

func BenchmarkMerge40Slots(b *testing.B) {
	slots := busySlots()
	samples := 0
	for _, s := range slots {
		samples += len(s.Tick)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := sample.Merge(slots...); len(r.Tick) != samples {
			b.Fatal(len(r.Tick))
		}
	}
	b.ReportMetric(float64(samples)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}

func BenchmarkTally(b *testing.B) {
	whole := sample.Merge(busySlots()...)
	for b.Loop() {
		var c sample.Tally
		c.Add(&whole, labelsOf)
		if c.Rollup(sample.ByQuery).Samples == 0 {
			b.Fatal("nothing")
		}
	}
	b.ReportMetric(float64(len(whole.Tick))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}
