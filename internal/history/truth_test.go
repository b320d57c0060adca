package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/sample"
)

// past is a made-up past of a server, over midnight, and the reference to hold
// answers against: every tick that a reader may see.
type past struct {
	*stats

	rnd      *rand.Rand
	from, to time.Time
	sessions []sample.SessionEntry
	waits    []sample.WaitEntry
	queries  []sample.QueryEntry

	pending []sample.Tick                        // still on their way
	written map[time.Time]map[int64]*sample.Tick // of each bucket, by second
	closed  map[time.Time][]*sample.Tick         // as compacted last
	recent  map[time.Time]bool
}

// newPast makes hours in which the server was away, slow, or nobody looked, for
// seconds or for hours; the cadence and the phase change when somebody comes back.
func newPast(t *testing.T, seed uint64, queries int) *past {
	t.Helper()
	p := &past{
		stats: openStats(t), rnd: rand.New(rand.NewPCG(seed, 5)), from: time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC),
		written: map[time.Time]map[int64]*sample.Tick{}, closed: map[time.Time][]*sample.Tick{}, recent: map[time.Time]bool{},
	}
	p.to = p.from.Add(8 * time.Hour)
	p.server.Intervals.Activity = 7 * time.Second
	p.dictionary(queries)
	state, until, cadence, phase := 0, p.from, 5*time.Second, 3900*time.Millisecond
	for at := p.from.Add(phase); at.Before(p.to); at = at.Add(cadence) {
		if !at.Before(until) {
			state = max(p.rnd.IntN(9)-5, 0) // mostly well
			until = at.Add(time.Duration(1+p.rnd.IntN([]int{4, 40, 400}[p.rnd.IntN(3)])) * 15 * time.Second)
			if p.rnd.IntN(6) == 0 {
				cadence = []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second}[p.rnd.IntN(3)]
				at = at.Add(time.Duration(p.rnd.IntN(1000)) * time.Millisecond)
			}
		}
		if state != 3 && at.Before(p.to) {
			p.pending = append(p.pending, p.tick(at, cadence, state))
		}
	}
	var names sample.Entries
	for day := sample.Day(p.from); day <= sample.Day(p.to); day++ {
		for _, n := range p.sessions {
			n.Day = day
			names.Sessions = append(names.Sessions, n)
		}
	}
	names.Waits, names.Queries = p.waits, p.queries
	p.write(t, p.server.ID, nil, names)
	return p
}

func (p *past) dictionary(queries int) {
	pick := func(of ...string) string { return of[p.rnd.IntN(len(of))] }
	for i := range 40 {
		p.sessions = append(p.sessions, sample.SessionEntry{
			Key: sample.Key(p.rnd.Uint64()), PID: int32(1000 + i), Database: pick("shop", "größe", "", "a,b"), User: pick("app", "batch"),
			Application: pick("", "psql", "web"), ClientAddr: pick("", "10.0.0.1", "10.0.0.2", "::1"),
			BackendType: pick("client backend", "parallel worker", "autovacuum worker"),
		})
	}
	for _, w := range []sample.WaitEntry{
		{State: "active", Type: sample.CPU},
		{State: "active", Type: "IO", Event: "DataFileRead"},
		{State: "active", Type: "Lock", Event: "transactionid"},
		{State: "active", Type: "Client", Event: "ClientRead"},
		{State: "idle in transaction", Type: "Client", Event: "ClientRead"},
		{State: "idle in transaction (aborted)", Type: "Client", Event: "ClientRead"},
		{State: "fastpath function call", Type: "IO", Event: "DataFileRead"},
		{State: "", Type: "IO", Event: "WALWrite"},
		{State: "active", Type: "Timeout", Event: "VacuumDelay"}, // no load
	} {
		w.Key, w.Class, w.Day = sample.Key(p.rnd.Uint64()), sample.ClassOf(w.State, w.Type, w.Event), sample.Day(p.from)
		p.waits = append(p.waits, w)
	}
	for i := range queries {
		p.queries = append(p.queries, sample.QueryEntry{
			Key: sample.Key(p.rnd.Uint64()), Day: sample.Day(p.from), QueryID: -int64((i / 2) * 1_000_003), Own: i%2 == 1, Text: fmt.Sprint("select ", i),
		})
	}
}

// tick makes one of a state: 0 well, 1 failing now and then, 2 failing.
func (p *past) tick(planned time.Time, cadence time.Duration, state int) sample.Tick {
	t := sample.Tick{Planned: planned, Started: planned.Add(time.Duration(p.rnd.IntN(900)) * time.Millisecond), Cadence: cadence, Backends: p.rnd.Int32N(9)}
	switch one := p.rnd.IntN(20); {
	case state == 2, state == 1 && one < 5:
		t.Outcome, t.Reason, t.Backends = sample.Failed, sample.Timeout+sample.Reason(one%2), sample.Unset
	case state == 1 && one < 8:
		t.Outcome, t.Reason, t.Backends, t.Started = sample.Skipped, sample.Overrun, sample.Unset, planned
	case one == 0:
		t.Outcome, t.Reason = sample.Degraded, sample.LockTimeout
	}
	if !t.Outcome.Answered() {
		return t
	}
	for _, i := range p.rnd.Perm(len(p.sessions))[:p.rnd.IntN(10)] {
		w := p.waits[min(p.rnd.IntN(len(p.waits)), p.rnd.IntN(len(p.waits)))]
		s := sample.Session{Session: p.sessions[i].Key, Wait: w.Key, Class: w.Class}
		if p.rnd.IntN(10) > 0 {
			s.Query = p.queries[p.rnd.IntN(len(p.queries))].Key
		}
		t.Sessions = append(t.Sessions, s)
	}
	return t
}

// advance writes some of what is on its way, mostly in order, or compacts a bucket.
func (p *past) advance(t *testing.T, most int) {
	t.Helper()
	if p.rnd.IntN(3) == 0 {
		buckets := slices.SortedFunc(maps.Keys(p.recent), time.Time.Compare)
		if len(buckets) > 0 {
			p.close(t, buckets[min(p.rnd.IntN(len(buckets)), p.rnd.IntN(len(buckets)))])
		}
		return
	}
	var some, rest []sample.Tick
	for i := range p.pending {
		if len(some) < most && p.rnd.IntN(50) > 0 {
			some = append(some, p.pending[i])
			continue
		}
		rest = append(rest, p.pending[i])
	}
	p.pending = rest
	p.write(t, p.server.ID, some, sample.Entries{})
	for i := range some {
		bucket := some[i].Planned.Truncate(sample.BucketLength)
		if p.written[bucket] == nil {
			p.written[bucket] = map[int64]*sample.Tick{}
		}
		p.written[bucket][some[i].Planned.Unix()], p.recent[bucket] = &some[i], true
	}
}

func (p *past) close(t *testing.T, bucket time.Time) {
	t.Helper()
	p.compact(t, p.server.ID, bucket)
	p.closed[bucket] = slices.Collect(maps.Values(p.written[bucket]))
	delete(p.recent, bucket)
}

// visible gives the ticks that a reader sees, in the order of time.
func (p *past) visible() (all []*sample.Tick) {
	for bucket, ticks := range p.written {
		if closed, ok := p.closed[bucket]; ok {
			all = append(all, closed...)
		} else {
			all = slices.AppendSeq(all, maps.Values(ticks))
		}
	}
	slices.SortFunc(all, func(a, b *sample.Tick) int { return a.Planned.Compare(b.Planned) })
	return all
}

// judge counts every tick that was promised in a range, one by one.
func (p *past) judge(all []*sample.Tick, r Range) Coverage {
	r.From = later(r.From, p.server.CreatedAt.UTC())
	c := Coverage{Range: r, FailedBy: map[sample.Reason]int64{}, SkippedBy: map[sample.Reason]int64{}}
	missing := func(at time.Time) {
		if r.Holds(at) {
			c.Skipped++
			c.SkippedBy[sample.NotRunning]++
		}
	}
	first := slices.IndexFunc(all, func(n *sample.Tick) bool { return !n.Planned.Before(r.From) })
	switch {
	case len(all) == 0 || first == 0 && !all[0].Planned.Before(r.To): // nothing is known by then
		for at := p.server.CreatedAt.UTC(); at.Before(r.To); at = at.Add(p.server.Intervals.Activity) {
			missing(at)
		}
	case first == 0:
		for at := all[0].Planned.Add(-all[0].Cadence); !at.Before(r.From); at = at.Add(-all[0].Cadence) {
			missing(at)
		}
	}
	seen := r.From
	for i, n := range all {
		until := r.To
		if i+1 < len(all) {
			until = earlier(until, all[i+1].Planned)
		}
		if r.Holds(n.Planned) {
			switch n.Outcome {
			case sample.OK:
				c.OK++
			case sample.Degraded:
				c.Degraded++
			case sample.Failed:
				c.Failed++
				c.FailedBy[n.Reason]++
			default:
				c.Skipped++
				c.SkippedBy[n.Reason]++
			}
			if n.Outcome.Answered() {
				c.LongestGap, seen = max(c.LongestGap, n.Started.Sub(seen)), n.Started
			}
		}
		if first != 0 || all[0].Planned.Before(r.To) {
			for at := n.Planned.Add(n.Cadence); at.Before(until); at = at.Add(n.Cadence) {
				missing(at)
			}
		}
	}
	c.Planned = c.OK + c.Degraded + c.Failed + c.Skipped
	if c.LongestGap = max(c.LongestGap, r.To.Sub(seen)); c.Failed+c.Skipped == 0 {
		c.LongestGap = 0
	}
	return c
}

// span gives a range, its ends to the millisecond or whole minutes or hours.
func (p *past) span(longest time.Duration) Range {
	from := p.from.Add(-time.Hour).Add(time.Duration(p.rnd.Int64N(int64(p.to.Sub(p.from) + 2*time.Hour))).Truncate(time.Millisecond))
	length := []time.Duration{2 * time.Minute, time.Hour, longest}[p.rnd.IntN(3)]
	r := Range{from, from.Add(time.Duration(1 + p.rnd.Int64N(int64(length))).Truncate(time.Millisecond)).Add(time.Millisecond)}
	if p.rnd.IntN(3) == 0 {
		r = r.Widen([]time.Duration{15 * time.Second, time.Minute, 10 * time.Minute, time.Hour}[p.rnd.IntN(4)])
	}
	return r
}

// askCoverage compares coverage, and its parts by a step, with the reference.
func (p *past) askCoverage(t *testing.T, when string) {
	t.Helper()
	r, all := p.span(10*time.Hour), p.visible()
	got, err := p.Coverage(t.Context(), p.server, r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(p.judge(all, r), got); diff != "" {
		t.Fatalf("%s: from %s to %s (-want +got):\n%s", when, r.From, r.To, diff)
	}
	step := []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 2 * time.Hour, 24 * time.Hour}[p.rnd.IntN(5)]
	series, err := p.CoverageSeries(t.Context(), p.server, r, step)
	if err != nil {
		t.Fatal(err)
	}
	planned := int64(0)
	for i, b := range series.Buckets {
		planned += b.Planned
		want := p.judge(all, Range{series.Times[i], series.Times[i].Add(step)}.Clip(r))
		// Before the first tick of all, what was due is counted back from it.
		if all[0].Planned.After(series.Times[i].Add(step)) {
			want = b
		}
		if diff := gocmp.Diff(want, b); diff != "" {
			t.Fatalf("%s: from %s to %s by %s, %s (-want +got):\n%s", when, r.From, r.To, step, series.Times[i], diff)
		}
	}
	if diff := gocmp.Diff(got, series.Coverage); diff != "" || planned != got.Planned {
		t.Fatalf("%s: from %s to %s, steps of %s add up to %d planned ticks:\n%s", when, r.From, r.To, step, planned, diff)
	}
}

// labelOf gives the label of a sample by a dimension.
func (p *past) labelOf(by Dimension, s *sample.Session) string {
	wait := p.waits[slices.IndexFunc(p.waits, func(w sample.WaitEntry) bool { return w.Key == s.Wait })]
	n := p.sessions[slices.IndexFunc(p.sessions, func(n sample.SessionEntry) bool { return n.Key == s.Session })]
	switch by {
	case ByWaitClass:
		return wait.Class.String()
	case ByState:
		return wait.State
	case ByWaitEvent:
		return eventLabel(wait.Class, wait.Type, wait.Event)
	case ByQuery:
		if s.Query == 0 {
			return ""
		}
		q := p.queries[slices.IndexFunc(p.queries, func(q sample.QueryEntry) bool { return q.Key == s.Query })]
		if q.Own {
			return "own " + strconv.FormatInt(q.QueryID, 10)
		}
		return strconv.FormatInt(q.QueryID, 10)
	case ByDatabase:
		return n.Database
	case ByUser:
		return n.User
	case ByApplication:
		return n.Application
	case ByClient:
		return n.ClientAddr
	default:
		return n.BackendType
	}
}

// expected is an answer by the reference.
type expected struct {
	Answered []int64
	Samples  map[string][]int64
	Classes  map[string]*[sample.NumClasses]int64
	Peak     map[string]int32
	Most     []int32
}

// count counts every tick that is visible.
func (p *past) count(all []*sample.Tick, by Dimension, f Filter, plan Plan) expected {
	n := 1
	if plan.Step > 0 {
		n = plan.Buckets()
	}
	e := expected{make([]int64, n), map[string][]int64{}, map[string]*[sample.NumClasses]int64{}, map[string]int32{}, make([]int32, n)}
	for _, tick := range all {
		if !tick.Outcome.Answered() || !plan.Range.Holds(tick.Planned) {
			continue
		}
		b := plan.bucket(tick.Planned)
		e.Answered[b]++
		most, peak := int32(0), map[string]int32{}
		for i := range tick.Sessions {
			s := &tick.Sessions[i]
			if !s.Class.Load() || !p.fits(f, s) {
				continue
			}
			label := p.labelOf(by, s)
			if e.Samples[label] == nil {
				e.Samples[label], e.Classes[label] = make([]int64, n), new([sample.NumClasses]int64)
			}
			e.Samples[label][b]++
			e.Classes[label][s.Class]++
			peak[label]++
			most++
			e.Peak[label] = max(e.Peak[label], peak[label])
		}
		e.Most[b] = max(e.Most[b], most)
	}
	return e
}

func (p *past) fits(f Filter, s *sample.Session) bool {
	for d, values := range f {
		if !values.Fit(strings.TrimPrefix(p.labelOf(d, s), "own ")) {
			return false
		}
	}
	return true
}

// question is one at random.
func (p *past) question(all []*sample.Tick) ActivityQuestion {
	by := Dimensions()[p.rnd.IntN(len(Dimensions()))]
	q := ActivityQuestion{Range: p.span(4 * time.Hour), By: by, Limit: 1 + p.rnd.IntN(20)}
	q.Step = []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour, 0}[p.rnd.IntN(9)]
	if p.rnd.IntN(4) == 0 {
		q.Range = Range{p.from.Add(-2 * time.Hour), p.from.Add(30 * time.Hour)}.Widen(24 * time.Hour)
		q.Step = []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}[p.rnd.IntN(3)]
	}
	for range p.rnd.IntN(3) {
		d := Dimensions()[p.rnd.IntN(len(Dimensions()))]
		var values Values
		for range 1 + p.rnd.IntN(3) {
			if tick := all[p.rnd.IntN(len(all))]; len(tick.Sessions) > 0 {
				list := []*[]string{&values.Any, &values.Not}[p.rnd.IntN(2)]
				*list = append(*list, strings.TrimPrefix(p.labelOf(d, &tick.Sessions[0]), "own "))
			}
		}
		if f := (Filter{d: values}); !values.Empty() && (f.Within(by) || q.Range.Length() <= MaxTickRange) {
			q.Filter = f
		}
	}
	return q
}

// askActivity compares sessions over time, and what took the time, with the
// reference. With tails, sums do not list all keys.
func (p *past) askActivity(t *testing.T, when string, tails bool) (grain Grain) {
	t.Helper()
	all := p.visible()
	if len(all) == 0 {
		return ""
	}
	q := p.question(all)
	got, err := p.ActivityBy(t.Context(), p.server, q)
	if errors.Is(err, ErrCounting) || errors.Is(err, ErrInvalid) {
		return ""
	}
	if err != nil {
		t.Fatalf("%s: %+v: %v", when, q, err)
	}
	want := p.count(all, q.By, q.Filter, got.Plan)
	what := fmt.Sprintf("%s: by %s where %v from %s to %s step %s (grain %s)", when, q.By, q.Filter,
		got.Plan.Range.From.Format("02 15:04:05.000"), got.Plan.Range.To.Format("02 15:04:05.000"), got.Plan.Step, got.Plan.Grain)
	if diff := gocmp.Diff(want.Answered, got.Answered); diff != "" {
		t.Fatalf("%s: answered ticks (-want +got):\n%s", what, diff)
	}
	if diff := gocmp.Diff(want.Most, got.MaxSessions); got.MaxSessions != nil && diff != "" {
		t.Fatalf("%s: most sessions (-want +got):\n%s", what, diff)
	}
	if diff := gocmp.Diff(p.judge(all, got.Plan.Range), got.Coverage); diff != "" {
		t.Fatalf("%s: coverage (-want +got):\n%s", what, diff)
	}
	total, gotTotal := make([]int64, len(want.Answered)), slices.Clone(got.Tail)
	for _, series := range want.Samples {
		for b, n := range series {
			total[b] += n
		}
	}
	listed := 0
	for i, key := range got.Keys {
		name := key.name()
		for b, n := range got.Samples[i] {
			gotTotal[b] += n
		}
		if want.Samples[name] == nil {
			if slices.Max(got.Samples[i]) > 0 {
				t.Fatalf("%s: %q was never there", what, name)
			}
			continue
		}
		listed++
		if diff := gocmp.Diff(want.Samples[name], got.Samples[i]); diff != "" && !tails {
			t.Fatalf("%s: %q (-want +got):\n%s", what, name, diff)
		}
	}
	if tails && !q.Filter.Empty() {
		return got.Plan.Grain // some of the tail may not fit
	}
	if diff := gocmp.Diff(total, gotTotal); diff != "" {
		t.Fatalf("%s: all samples (-want +got):\n%s", what, diff)
	}
	if tails {
		return got.Plan.Grain
	}
	if got.TailKeys != len(want.Samples)-listed {
		t.Fatalf("%s: %d keys listed of %d, and %d in the tail", what, listed, len(want.Samples), got.TailKeys)
	}
	p.askTop(t, all, TopQuestion{Range: q.Range, By: q.By, Filter: q.Filter, Limit: q.Limit, Split: p.rnd.IntN(2) == 0}, what)
	return got.Plan.Grain
}

func (p *past) askTop(t *testing.T, visible []*sample.Tick, q TopQuestion, what string) {
	t.Helper()
	got, err := p.Top(t.Context(), p.server, q)
	if errors.Is(err, ErrCounting) {
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if got.Range != q.Range {
		t.Fatalf("%s: top of %v, asked for %v", what, got.Range, q.Range)
	}
	want := p.count(visible, q.By, q.Filter, Plan{Range: got.Range})
	if known := got.TailClasses != nil; q.Split != known && (known || q.By.family() == ByWaitEvent || q.Range.Length() <= MaxTickRange) {
		t.Fatalf("%s: split %t: classes of the tail %v", what, q.Split, got.TailClasses)
	}
	var all int64
	names := slices.SortedFunc(maps.Keys(want.Samples), func(a, b string) int {
		return cmp.Or(cmp.Compare(want.Samples[b][0], want.Samples[a][0]), cmp.Compare(a, b))
	})
	for _, n := range want.Samples {
		all += n[0]
	}
	if got.Answered != want.Answered[0] || got.Samples != all || got.TailKeys != len(names)-len(got.Rows) || got.Unlisted != 0 {
		t.Fatalf("%s: top counts %d samples of %d ticks, %d keys in the tail; want %d of %d, %d keys", what,
			got.Samples, got.Answered, got.TailKeys, all, want.Answered[0], len(names)-len(got.Rows))
	}
	for i, r := range got.Rows {
		name := r.Key.name()
		if name != names[i] || r.Samples != want.Samples[name][0] || r.Peak != nil && *r.Peak != want.Peak[name] {
			t.Fatalf("%s: top row %d is %q with %d samples; want %q with %d, peak %d", what, i, name, r.Samples, names[i], want.Samples[names[i]][0], want.Peak[name])
		}
		if got.TailClasses != nil && *r.Classes != *want.Classes[name] || !q.Split && r.Classes != nil {
			t.Fatalf("%s: %q by class: %v; want %v", what, name, r.Classes, want.Classes[name])
		}
		all -= r.Samples
	}
	if got.TailClasses != nil {
		left := *got.TailClasses
		for _, name := range names[len(got.Rows):] {
			for class, n := range want.Classes[name] {
				left[class] -= n
			}
		}
		if left != [sample.NumClasses]int64{} {
			t.Fatalf("%s: the tail of top by class differs by %v", what, left)
		}
	}
	if got.TailSamples != all {
		t.Fatalf("%s: %d samples in the tail of top, want %d", what, got.TailSamples, all)
	}
}

// askInstant compares the sessions of a tick with the reference.
func (p *past) askInstant(t *testing.T, when string) {
	t.Helper()
	instant, all := p.span(time.Minute).From, p.visible()
	got, err := p.At(t.Context(), p.server, instant)
	if err != nil {
		t.Fatal(err)
	}
	var want *sample.Tick
	for _, n := range all {
		if n.Outcome.Answered() && !n.Started.After(instant) && instant.Sub(n.Started) <= n.Cadence+nearness {
			want = n
		}
	}
	if want == nil {
		if !got.At.IsZero() {
			t.Fatalf("%s: at %s: a tick of %s, want none", when, instant, got.At)
		}
		return
	}
	describe := func(pid int32, database, wait, query string) string {
		return fmt.Sprint(pid, " ", database, " ", wait, " ", query)
	}
	var seen, saw []string
	for i := range want.Sessions {
		s := &want.Sessions[i]
		n := p.sessions[slices.IndexFunc(p.sessions, func(n sample.SessionEntry) bool { return n.Key == s.Session })]
		seen = append(seen, describe(n.PID, n.Database, p.labelOf(ByState, s)+p.labelOf(ByWaitEvent, s), strings.TrimPrefix(p.labelOf(ByQuery, s), "own ")))
	}
	for i := range got.Sessions {
		s := &got.Sessions[i]
		database, query := "", ""
		if s.Database != nil {
			database = *s.Database
		}
		if s.QueryID != nil {
			query = strconv.FormatInt(*s.QueryID, 10)
		}
		saw = append(saw, describe(s.PID, database, s.State+eventLabel(s.Class, s.WaitEventType, s.WaitEvent), query))
	}
	slices.Sort(seen)
	slices.Sort(saw)
	if diff := gocmp.Diff(seen, saw); diff != "" || !got.At.Equal(want.Started) || got.Outcome != want.Outcome || got.Backends == nil || *got.Backends != want.Backends {
		t.Fatalf("%s: at %s: tick of %s, want %s (-want +got):\n%s", when, instant, got.At, want.Started, diff)
	}
}

// Whatever is flushed, late or compacted by then, an answer is as counted from
// every tick that a reader may see.
func TestAnswersAreTrue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := newPast(t, seed, 30)
			grains := map[Grain]int{}
			ask := func(when string) {
				p.askCoverage(t, when)
				grains[p.askActivity(t, when, false)]++
				p.askInstant(t, when)
			}
			for i := range 120 {
				p.advance(t, 150)
				if i > 5 {
					ask(fmt.Sprint("seed ", seed, ", step ", i))
				}
			}
			for bucket := range p.recent {
				p.close(t, bucket)
			}
			for i := range 60 {
				ask(fmt.Sprint("seed ", seed, ", all compacted, ", i))
			}
			for _, g := range Grains() {
				if grains[g.Grain] == 0 {
					t.Errorf("nothing was answered by %s: %v", g.Grain, grains)
				}
			}
		})
	}
}

// While buckets are compacted, and compacted again, an answer is always the same:
// each tick is in it once.
func TestAnswersWhileCompacting(t *testing.T) {
	t.Parallel()
	p := newPast(t, 4, 30)
	p.pending = slices.DeleteFunc(p.pending, func(n sample.Tick) bool { return !n.Planned.Before(p.from.Add(2 * time.Hour)) })
	ticks := slices.Clone(p.pending)
	p.write(t, p.server.ID, ticks, sample.Entries{})
	r := Range{p.from.Add(-13 * time.Minute), p.from.Add(2*time.Hour + 17*time.Minute)}
	type answers struct {
		Coverage Coverage
		Queries  ActivityBy
		Classes  ActivityBy
		At       Instant
	}
	ask := func() (a answers) {
		errs := make([]error, 4)
		a.Coverage, errs[0] = p.Coverage(t.Context(), p.server, r)
		a.Queries, errs[1] = p.ActivityBy(t.Context(), p.server, ActivityQuestion{Range: r, By: ByQuery, Step: time.Hour, Limit: MaxKeys})
		a.Classes, errs[2] = p.ActivityBy(t.Context(), p.server, ActivityQuestion{Range: r, Step: 5 * time.Minute})
		a.At, errs[3] = p.At(t.Context(), p.server, r.From.Add(47*time.Minute))
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		a.Queries.Plan.Grain, a.Classes.Plan.Grain = "", ""
		return a
	}
	want := ask()
	done := make(chan error)
	go func() {
		for round := range 4 {
			for bucket := p.from; bucket.Before(p.from.Add(2 * time.Hour)); bucket = bucket.Add(sample.BucketLength) {
				if err := p.w.Compact(t.Context(), p.server.ID, bucket); err != nil && !errors.Is(err, ingest.ErrNothing) {
					done <- err
					return
				}
			}
			var visits []*sample.Visit // again
			for i := round; i < len(ticks); i += 100 {
				visits = append(visits, &sample.Visit{Server: p.server.ID, Tick: &ticks[i]})
			}
			if err := p.w.Append(t.Context(), p.server.ID, visits); err != nil {
				done <- err
				return
			}
		}
		close(done)
	}()
	for n := 1; ; n++ {
		if diff := gocmp.Diff(want, ask()); diff != "" {
			t.Fatalf("answer %d (-before +now):\n%s", n, diff)
		}
		select {
		case err := <-done:
			if err != nil || n < 5 {
				t.Errorf("after %d answers: %v", n, err)
			}
			return
		default:
		}
	}
}

// Where sums do not list all keys, the tail makes up for them.
func TestTailsAreTrue(t *testing.T) {
	t.Parallel()
	p := newPast(t, 9, 400)
	for len(p.pending) > 0 {
		p.advance(t, 500)
	}
	for bucket := range p.recent {
		p.close(t, bucket)
	}
	for i := range 60 {
		p.askActivity(t, fmt.Sprint("question ", i), true)
	}
}
