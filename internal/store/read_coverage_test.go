package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// seenTick is a planned tick of a made-up past.
type seenTick struct {
	at      time.Time // when it counts: within its window
	outcome sample.Outcome
	reason  sample.Reason
}

// patchy is the past of a server that was not always seen, and the reference to
// hold coverage against: every planned instant, with what became of it.
type patchy struct {
	rnd      *rand.Rand
	server   target.Target
	from, to time.Time
	ticks    []seenTick
	late     []sample.Window // still on their way
}

const (
	patchySpan  = 15 * time.Second
	patchyPhase = 3900 * time.Millisecond
)

// newPatchy makes some hours that go on over midnight, in which the server was
// away, slow, or nobody looked, for seconds or for hours.
func newPatchy(t *testing.T, s *Store, dsn string, seed uint64) *patchy {
	t.Helper()
	from := time.Date(2024, 11, 22, 19, 0, 0, 0, time.UTC)
	p := &patchy{rnd: rand.New(rand.NewPCG(seed, 5)), from: from, to: from.Add(9 * time.Hour)}
	p.server = historyServer(t, s, dsn)
	p.server.Intervals.Activity = crowdCadence
	partitionsAround(t, s, p.from, p.to)
	state, until := 0, p.from
	for t0 := p.from; t0.Before(p.to); t0 = t0.Add(patchySpan) {
		if !t0.Before(until) {
			state = max(p.rnd.IntN(9)-5, 0) // mostly well
			until = t0.Add(time.Duration(1+p.rnd.IntN([]int{4, 40, 400}[p.rnd.IntN(3)])) * patchySpan)
		}
		w := p.window(t0, state)
		switch {
		case w == nil:
		case p.rnd.IntN(40) == 0:
			p.late = append(p.late, *w)
		default:
			mustAppend(t, s, sample.Batch{Windows: []sample.Window{*w}})
		}
	}
	return p
}

// window makes a window of a state: 0 well, 1 failing now and then, 2 failing, 3
// nobody looks.
func (p *patchy) window(t0 time.Time, state int) *sample.Window {
	var ticks []sample.Tick
	for at := t0.Add(patchyPhase); at.Before(t0.Add(patchySpan)); at = at.Add(crowdCadence) {
		k := sample.Tick{Planned: at, Started: at.Add(time.Duration(p.rnd.IntN(200)) * time.Millisecond), Window: t0, Span: patchySpan, Cadence: crowdCadence, Backends: 3}
		n := seenTick{at: k.Started}
		switch one := p.rnd.IntN(20); {
		case state == 3:
			n.outcome, n.reason = sample.Skipped, sample.NotRunning
		case state == 2, state == 1 && one < 5:
			// It began when it was found out, which may be after its window's end.
			k.Started = at.Add(time.Duration(p.rnd.IntN(4000)) * time.Millisecond)
			n = seenTick{earliest(k.Started, t0.Add(patchySpan-time.Millisecond)), sample.Failed, sample.Timeout}
		case state == 1 && one < 8:
			n.outcome, n.reason = sample.Skipped, sample.Overrun
		case one == 0:
			n.outcome, n.reason = sample.Degraded, sample.LockTimeout
		}
		k.Outcome, k.Reason = n.outcome, n.reason
		p.ticks, ticks = append(p.ticks, n), append(ticks, k)
	}
	if state == 3 {
		return nil
	}
	w := sample.NewWindow(p.server.ID, ticks)
	return &w
}

// onItsWay says of an instant that its window is not stored yet.
func (p *patchy) onItsWay(at time.Time) bool {
	for i := range p.late {
		if t0 := p.late[i].T0; !at.Before(t0) && at.Before(t0.Add(patchySpan)) {
			return true
		}
	}
	return false
}

// judge counts every planned instant of a range.
func (p *patchy) judge(r history.Range) history.Coverage {
	c := history.Coverage{Range: r, FailedBy: map[sample.Reason]int64{}, SkippedBy: map[sample.Reason]int64{}}
	for _, n := range p.ticks {
		if n.at.Before(r.From) || !n.at.Before(r.To) {
			continue
		}
		if p.onItsWay(n.at) {
			n.outcome, n.reason = sample.Skipped, sample.NotRunning
		}
		c.Planned++
		switch n.outcome {
		case sample.OK:
			c.OK++
		case sample.Degraded:
			c.Degraded++
		case sample.Failed:
			c.Failed++
			c.FailedBy[n.reason]++
		default:
			c.Skipped++
			c.SkippedBy[n.reason]++
		}
	}
	return c
}

// differs compares an answer with the reference. Where all ticks failed, and may
// have begun late, it is not known when within its cadence each was planned: at
// either end of a hole, one may be taken for missing or not.
func (p *patchy) differs(r history.Range, got history.Coverage) string {
	want := p.judge(r)
	missing, counted := want.SkippedBy[sample.NotRunning], got.SkippedBy[sample.NotRunning]
	if failed := want.Failed > 0 && want.Failed+missing == want.Planned; failed && missing > counted && missing-counted <= 2 {
		want.Planned, want.Skipped = want.Planned-missing+counted, counted
		if want.SkippedBy[sample.NotRunning] = counted; counted == 0 {
			delete(want.SkippedBy, sample.NotRunning)
		}
	}
	want.LongestGap = got.LongestGap
	return gocmp.Diff(want, got)
}

// question gives a range whose ends are those of windows.
func (p *patchy) question() history.Range {
	length := time.Duration(1+p.rnd.IntN([]int{8, 100, 2000}[p.rnd.IntN(3)])) * patchySpan
	from := p.from.Add(time.Duration(p.rnd.IntN(int(p.to.Sub(p.from)/patchySpan))) * patchySpan)
	r := history.Range{From: from, To: from.Add(length)}
	if p.rnd.IntN(3) == 0 {
		r = r.Widen([]time.Duration{time.Minute, 10 * time.Minute, time.Hour}[p.rnd.IntN(3)])
	}
	return r.Clip(history.Range{From: p.from, To: p.to})
}

// ask compares an answer, and its parts by a step, with the reference.
func (p *patchy) ask(t *testing.T, s *Store, when string) {
	t.Helper()
	r := p.question()
	got, err := s.Coverage(t.Context(), p.server, r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := p.differs(r, got); diff != "" {
		t.Fatalf("%s: from %s to %s (-want +got):\n%s", when, r.From, r.To, diff)
	}
	step := []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 2 * time.Hour, 24 * time.Hour}[p.rnd.IntN(5)]
	series, err := s.CoverageSeries(t.Context(), p.server, r, step)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range series.Buckets {
		if diff := p.differs(history.Range{From: series.Times[i], To: series.Times[i].Add(step)}.Clip(r), b); diff != "" {
			t.Fatalf("%s: from %s to %s by %s, %s (-want +got):\n%s", when, r.From, r.To, step, series.Times[i], diff)
		}
	}
}

// Whatever is summed up by then, coverage is as counted from every planned tick.
func TestCoverageIsTrue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s, dsn := openStore(t)
			p := newPatchy(t, s, dsn, seed)
			for i := range 150 {
				p.ask(t, s, fmt.Sprint("question ", i))
				if i%3 == 0 {
					if _, _, err := s.Roll(t.Context(), p.from.Add(time.Duration(i)*3*time.Minute), 1+p.rnd.IntN(9)); err != nil {
						t.Fatal(err)
					}
				}
				if n := len(p.late); n > 0 && i%4 == 0 {
					mustAppend(t, s, sample.Batch{Windows: p.late[n-1:]})
					p.late = p.late[:n-1]
				}
			}
			rollAll(t, s, p.to.AddDate(0, 0, 2))
			for range 60 {
				p.ask(t, s, "all summed up")
			}
			if hours := pgtest.Value[int](t, dsn, "select count(*)::int from history.activity_total where step_seconds = 3600"); hours == 0 {
				t.Error("no hour was summed up")
			}
		})
	}
}
