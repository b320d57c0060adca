package store

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// crowd is a made-up past of the sessions of a server, and the reference to hold
// answers against: every tick that was stored.
type crowd struct {
	rnd      *rand.Rand
	server   target.Target
	from     time.Time
	sessions []sample.SessionEntry
	waits    []sample.WaitEntry
	queries  []sample.QueryEntry
	busy     int // sessions in a tick, at most
	windows  map[int64]sample.Batch
	ticks    map[int64][]sample.Tick // of windows that are stored
}

const crowdCadence = 5 * time.Second

func newCrowd(t *testing.T, s *Store, dsn string, seed uint64, queries int) *crowd {
	t.Helper()
	c := &crowd{
		rnd: rand.New(rand.NewPCG(seed, 3)), from: time.Date(2024, 11, 22, 22, 37, 0, 0, time.UTC), busy: 9,
		windows: make(map[int64]sample.Batch), ticks: make(map[int64][]sample.Tick),
	}
	c.server = historyServer(t, s, dsn)
	partitionsAround(t, s, c.from, c.from.AddDate(0, 0, 1))
	pick := func(of ...string) string { return of[c.rnd.IntN(len(of))] }
	for i := range 40 {
		c.sessions = append(c.sessions, sample.SessionEntry{
			ID: int32(i + 1), PID: int32(1000 + i), Database: pick("shop", "größe", "", "a,b"), User: pick("app", "batch"),
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
	} {
		w.ID = int16(len(c.waits) + 1)
		c.waits = append(c.waits, w)
	}
	for i := range queries {
		// Two entries in a row are the same statement, met again.
		c.queries = append(c.queries, sample.QueryEntry{ID: int32(i + 1), QueryID: -int64(i / 2 * 1_000_003), Own: i%8 > 3, Text: fmt.Sprint("select ", i/2)})
	}
	return c
}

// window makes a window that begins at an instant; asked for again, it is the
// same.
func (c *crowd) window(t0 time.Time) sample.Batch {
	if b, made := c.windows[t0.Unix()]; made {
		return b
	}
	var ticks []sample.Tick
	for at := t0; at.Before(t0.Add(15 * time.Second)); at = at.Add(crowdCadence) {
		// All begin late, the last of a window sometimes after its end, but before
		// the next.
		started := at.Add(300*time.Millisecond + time.Duration(c.rnd.IntN(3)*1300)*time.Millisecond)
		if c.rnd.IntN(3) == 0 && at.Sub(t0) == 10*time.Second {
			started = at.Add(5200 * time.Millisecond)
		}
		k := sample.Tick{Planned: at, Started: started, Window: t0, Span: 15 * time.Second, Cadence: crowdCadence, Backends: 20}
		switch c.rnd.IntN(8) {
		case 0:
			k.Outcome, k.Reason, k.Backends = sample.Failed, sample.Timeout, sample.Unset
		case 1:
			k.Outcome, k.Reason = sample.Degraded, sample.LockTimeout
		}
		if k.Outcome.Answered() {
			for _, i := range c.rnd.Perm(len(c.sessions))[:c.rnd.IntN(c.busy+1)] {
				w := c.waits[min(c.rnd.IntN(len(c.waits)), c.rnd.IntN(len(c.waits)))]
				k.Sessions = append(k.Sessions, sample.Session{
					Session: c.sessions[i].ID, Wait: w.ID, Class: sample.ClassOf(w.State, w.Type, w.Event), Query: c.query(t0), Blocker: sample.Unset,
				})
				if c.rnd.IntN(4) == 0 { // whoever blocks it is no sample
					k.Edges = append(k.Edges, sample.Edge{Blocked: c.sessions[i].ID, Blocker: 900})
				}
			}
		}
		ticks = append(ticks, k)
	}
	day := sample.Day(t0)
	e := sample.Entries{Waits: c.waits}
	for _, n := range append(slices.Clone(c.sessions), sample.SessionEntry{ID: 900, BackendType: sample.PreparedType, Application: "gid"}) {
		n.Day = day
		e.Sessions = append(e.Sessions, n)
	}
	for _, n := range c.queries {
		n.Day = day
		e.Queries = append(e.Queries, n)
	}
	b := sample.Batch{Windows: []sample.Window{sample.NewWindow(c.server.ID, slices.Clone(ticks))}}
	if c.rnd.IntN(10) == 0 || len(c.windows) == 0 || t0.Hour() == 0 && t0.Minute() == 0 {
		b.Visits = []*sample.Visit{{Server: c.server.ID, Entries: e}}
	}
	c.windows[t0.Unix()] = b
	return b
}

// query gives the id of a statement, or none. Each half hour it is the other one
// of a statement's two.
func (c *crowd) query(at time.Time) int32 {
	if c.rnd.IntN(10) == 0 {
		return 0
	}
	return int32(2*c.rnd.IntN(len(c.queries)/2) + 1 + at.Minute()/30)
}

// store appends a window.
func (c *crowd) store(t *testing.T, s *Store, t0 time.Time) {
	t.Helper()
	b := c.window(t0)
	mustAppend(t, s, b)
	c.ticks[t0.Unix()] = nil
}

// labelOf gives the label of a sample by a dimension.
func (c *crowd) labelOf(by history.Dimension, w *sample.Window, i int) string {
	wait, n := c.waits[w.Wait[i]-1], c.sessions[w.Session[i]-1]
	class := sample.ClassOf(wait.State, wait.Type, wait.Event)
	switch by {
	case history.ByWaitClass:
		return class.String()
	case history.ByState:
		return wait.State
	case history.ByWaitEvent:
		switch {
		case class == sample.ClassIdleInTransaction:
			return "idle in transaction"
		case wait.Event == "":
			return wait.Type
		}
		return wait.Type + ":" + wait.Event
	case history.ByQuery:
		if w.Query[i] == sample.Unset {
			return ""
		}
		q := c.queries[w.Query[i]-1]
		if q.Own {
			return "own " + strconv.FormatInt(q.QueryID, 10)
		}
		return strconv.FormatInt(q.QueryID, 10)
	case history.ByDatabase:
		return n.Database
	case history.ByUser:
		return n.User
	case history.ByApplication:
		return n.Application
	case history.ByClient:
		return n.ClientAddr
	default:
		return n.BackendType
	}
}

// expected is an answer by the reference.
type expected struct {
	Answered []int64
	Samples  map[string][]int64
	Peak     map[string]int32
	Most     []int32
}

// count counts every tick that is stored.
func (c *crowd) count(by history.Dimension, f history.Filter, plan history.ActivityPlan) expected {
	n := 1
	if plan.Step > 0 {
		n = plan.Buckets()
	}
	e := expected{Answered: make([]int64, n), Samples: map[string][]int64{}, Peak: map[string]int32{}, Most: make([]int32, n)}
	for unix := range c.ticks {
		w := c.windows[unix].Windows[0]
		for tick, offset := range w.TickOffset {
			at := w.T0.Add(time.Duration(min(offset, 14_999)) * time.Millisecond)
			if len(w.TickOutcome) > 0 && !sample.Outcome(w.TickOutcome[tick]).Answered() || at.Before(plan.Range.From) || !at.Before(plan.Range.To) {
				continue
			}
			b := 0
			if plan.Step > 0 {
				b = int(at.Sub(history.Floor(plan.Range.From, plan.Step)) / plan.Step)
			}
			e.Answered[b]++
			most, peak := int32(0), map[string]int32{}
			for i, one := range w.Tick {
				if int(one) != tick+1 || !c.fits(f, &w, i) {
					continue
				}
				label := c.labelOf(by, &w, i)
				if e.Samples[label] == nil {
					e.Samples[label] = make([]int64, n)
				}
				e.Samples[label][b]++
				peak[label]++
				most++
				e.Peak[label] = max(e.Peak[label], peak[label])
			}
			e.Most[b] = max(e.Most[b], most)
		}
	}
	return e
}

func (c *crowd) fits(f history.Filter, w *sample.Window, i int) bool {
	for d, values := range f {
		if !slices.Contains(values, strings.TrimPrefix(c.labelOf(d, w, i), "own ")) {
			return false
		}
	}
	return true
}

// question is one at random.
func (c *crowd) question() history.ActivityQuestion {
	by := history.Dimensions()[c.rnd.IntN(len(history.Dimensions()))]
	from := c.from.Add(time.Duration(c.rnd.IntN(4*3600)-900) * time.Second)
	q := history.ActivityQuestion{Range: history.Range{From: from, To: from.Add(time.Duration(1+c.rnd.IntN(4*3600)) * time.Second)}, By: by, Limit: 1 + c.rnd.IntN(20)}
	if c.rnd.IntN(2) == 0 {
		q.Range = q.Range.Widen(10 * time.Minute)
	}
	q.Step = []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour, 0}[c.rnd.IntN(8)]
	if c.rnd.IntN(4) == 0 {
		q.Range = history.Range{From: c.from.Add(-2 * time.Hour), To: c.from.Add(30 * time.Hour)}.Widen(24 * time.Hour)
		q.Step = []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}[c.rnd.IntN(3)]
	}
	for range c.rnd.IntN(3) {
		d := history.Dimensions()[c.rnd.IntN(len(history.Dimensions()))]
		f := history.Filter{d: {}}
		for range 1 + c.rnd.IntN(3) {
			w := c.window(c.from.Add(time.Duration(c.rnd.IntN(40)) * 15 * time.Second)).Windows[0]
			if len(w.Tick) > 0 {
				f[d] = append(f[d], strings.TrimPrefix(c.labelOf(d, &w, c.rnd.IntN(len(w.Tick))), "own "))
			}
		}
		if len(f[d]) > 0 && (f.Within(by) || q.Range.Length() <= history.MaxWindowRange) {
			q.Filter = f
		}
	}
	return q
}

// ask holds an answer to a question against the reference.
func (c *crowd) ask(t *testing.T, s *Store, q history.ActivityQuestion, tails bool, when string) (grain history.Grain) {
	t.Helper()
	got, err := s.ActivityBy(t.Context(), c.server, q)
	if err != nil {
		t.Fatalf("%s: %+v: %v", when, q, err)
	}
	want := c.count(q.By, q.Filter, got.Plan)
	what := fmt.Sprintf("%s: by %s where %v from %s to %s step %s (grain %s)", when, q.By, q.Filter,
		got.Plan.Range.From.Format("02 15:04:05"), got.Plan.Range.To.Format("02 15:04:05"), got.Plan.Step, got.Plan.Grain)
	if diff := gocmp.Diff(want.Answered, got.Answered); diff != "" {
		t.Fatalf("%s: answered ticks (-want +got):\n%s", what, diff)
	}
	if got.MaxSessions != nil {
		if diff := gocmp.Diff(want.Most, got.MaxSessions); diff != "" {
			t.Fatalf("%s: most sessions (-want +got):\n%s", what, diff)
		}
	}
	total, gotTotal := make([]int64, len(want.Answered)), slices.Clone(got.Tail)
	for _, series := range want.Samples {
		for b, n := range series {
			total[b] += n
		}
	}
	listed := 0
	for i, key := range got.Keys {
		name := groupName(key)
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
	if !tails && got.TailKeys != len(want.Samples)-listed {
		t.Fatalf("%s: %d keys listed of %d, and %d in the tail", what, listed, len(want.Samples), got.TailKeys)
	}
	if !tails {
		c.askTop(t, s, history.TopQuestion{Range: q.Range, By: q.By, Filter: q.Filter, Limit: q.Limit}, what)
	}
	return got.Plan.Grain
}

func (c *crowd) askTop(t *testing.T, s *Store, q history.TopQuestion, what string) {
	t.Helper()
	got, err := s.Top(t.Context(), c.server, q)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !got.Range.From.Equal(q.Range.From) || !got.Range.To.Equal(q.Range.To) {
		t.Fatalf("%s: top of %v, asked for %v", what, got.Range, q.Range)
	}
	want := c.count(q.By, q.Filter, history.ActivityPlan{Range: got.Range})
	var all int64
	names := slices.SortedFunc(maps.Keys(want.Samples), func(a, b string) int {
		return cmp.Or(cmp.Compare(want.Samples[b][0], want.Samples[a][0]), cmp.Compare(a, b))
	})
	for _, n := range want.Samples {
		all += n[0]
	}
	if got.Answered != want.Answered[0] || got.Samples != all || got.TailKeys != len(names)-len(got.Rows) || got.Unlisted != 0 {
		t.Fatalf("%s: top counts %d samples of %d ticks, %d keys in the tail; want %d of %d, %d keys", what,
			got.Samples, got.Answered, got.TailKeys, all, want.Answered[0], len(names))
	}
	for i, r := range got.Rows {
		name := groupName(r.Key)
		if name != names[i] || r.Samples != want.Samples[name][0] || r.Peak != nil && *r.Peak != want.Peak[name] {
			t.Fatalf("%s: top row %d is %q with %d samples; want %q with %d, peak %d", what, i, name, r.Samples, names[i], want.Samples[names[i]][0], want.Peak[name])
		}
		all -= r.Samples
	}
	if got.TailSamples != all {
		t.Fatalf("%s: %d samples in the tail of top, want %d", what, got.TailSamples, all)
	}
}
