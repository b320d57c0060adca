package history

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
)

// crowd is a made-up past in which backends, some of which name their application
// anew, hold each other up: every tick of it.
type crowd struct {
	*stats

	rnd   *rand.Rand
	from  time.Time
	ticks []sample.Tick
}

const crowdBackends = 9

// keysOf gives the keys of a backend; those of the second are larger than those of
// the first, and so on.
func keysOf(backend int) [2]sample.Key {
	return [2]sample.Key{sample.Key(100 * backend), sample.Key(100*backend + 1)}
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	t.Helper()
	c := &crowd{stats: openStats(t), rnd: rand.New(rand.NewPCG(seed, 11)), from: noon.Add(5 * time.Minute)}
	var names sample.Entries
	for i := 1; i <= crowdBackends; i++ {
		for n, key := range keysOf(i) {
			names.Sessions = append(names.Sessions, sample.SessionEntry{
				Key: key, Day: sample.Day(noon), PID: int32(1000 + i), BackendStart: noon.Add(-time.Duration(i) * time.Minute).UnixMicro(),
				Database: "shop", User: "app", Application: fmt.Sprint("part ", n), BackendType: sample.ClientBackend,
			})
		}
	}
	names.Waits = []sample.WaitEntry{
		{Key: 1, State: "active", Type: sample.CPU}, {Key: 2, Class: sample.ClassLock, State: "active", Type: "Lock", Event: "transactionid"},
	}
	for i := range 3 {
		names.Queries = append(names.Queries, sample.QueryEntry{Key: sample.Key(1 + i), Day: sample.Day(noon), QueryID: int64(1 + i), Text: fmt.Sprint("select ", i)})
	}
	names.Locks = []sample.LockEntry{{Key: 1, Day: sample.Day(noon), Type: "transactionid", Mode: "ShareLock"}}
	cadence, until := time.Second, 0
	var edges [][2]int // by backend; 0: not seen
	for at := c.from; at.Before(c.from.Add(50 * time.Minute)); at = at.Add(cadence) {
		if until--; until < 0 {
			until = 1 + c.rnd.IntN(40)
			edges = edges[:0]
			for range c.rnd.IntN(8) * c.rnd.IntN(2) {
				edges = append(edges, [2]int{1 + c.rnd.IntN(crowdBackends), max(0, c.rnd.IntN(crowdBackends+3)-2)})
			}
			switch c.rnd.IntN(12) {
			case 0:
				cadence = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}[c.rnd.IntN(3)]
			case 1:
				at = at.Add(time.Duration(c.rnd.IntN(150)) * time.Second)
			}
		}
		c.ticks = append(c.ticks, c.tick(at, cadence, edges))
	}
	c.write(t, c.server.ID, c.ticks, names)
	return c
}

func (c *crowd) tick(at time.Time, cadence time.Duration, edges [][2]int) sample.Tick {
	tick := sample.Tick{Planned: at, Started: at.Add(time.Duration(c.rnd.IntN(300)) * time.Millisecond), Cadence: cadence, Backends: 9}
	if c.rnd.IntN(12) == 0 {
		tick.Outcome, tick.Reason, tick.Backends = sample.Failed, sample.Timeout, sample.Unset
		return tick
	}
	key := func(backend int) sample.Key {
		if backend == 0 {
			return NotSeen
		}
		return keysOf(backend)[at.Unix()/97%2]
	}
	waits := map[int]sample.Key{}
	if c.rnd.IntN(4) > 0 { // else nobody waits, for once
		for _, e := range edges {
			if e[0] != e[1] {
				tick.Edges = append(tick.Edges, sample.Edge{Blocked: key(e[0]), Blocker: key(e[1]), Lock: sample.Key(c.rnd.IntN(2))})
				waits[e[0]] = key(e[1])
			}
		}
	}
	for i := 1; i <= crowdBackends; i++ {
		s := sample.Session{Session: key(i), Wait: 1, Query: 1 + at.Unix()/13%3, QueryStart: at.UnixMicro()}
		if blocker, blocked := waits[i]; blocked {
			s.Wait, s.Class, s.Blocked, s.Blocker = 2, sample.ClassLock, true, blocker
		} else if at.Unix()/int64(5+i)%3 == 0 {
			continue
		}
		tick.Sessions = append(tick.Sessions, s)
	}
	return tick
}

// edges gives who waits for whom at a tick, by backend.
func edgesOf(tick *sample.Tick) map[[2]int]bool {
	edges := map[[2]int]bool{}
	for _, e := range tick.Edges {
		edges[[2]int{int(e.Blocked) / 100, int(e.Blocker) / 100}] = true
	}
	return edges
}

// rootsOf gives the backends behind each root, those of a ring among them, the slow
// way: a ring by the first of its members.
func rootsOf(edges map[[2]int]bool) map[int]map[int]bool {
	reach := map[int]map[int]bool{}
	for e := range edges {
		for _, n := range e {
			seen, queue := map[int]bool{}, []int{n}
			for ; len(queue) > 0; queue = queue[1:] {
				for e := range edges {
					if e[0] == queue[0] && !seen[e[1]] {
						seen[e[1]] = true
						queue = append(queue, e[1])
					}
				}
			}
			reach[n] = seen
		}
	}
	roots := map[int]map[int]bool{}
	for n, to := range reach {
		ring := append(slices.Collect(maps.Keys(to)), n)
		if slices.ContainsFunc(ring, func(m int) bool { return m != n && !reach[m][n] }) || slices.Min(ring) != n {
			continue
		}
		roots[n] = map[int]bool{}
		for m, to := range reach {
			if to[n] {
				roots[n][m] = true
			}
		}
	}
	return roots
}

// told is an episode in a form that can be compared.
type told struct {
	PID                   int
	First, Last, End      time.Time
	MostAt                time.Time
	Most, Victims         int
	Blocked, SessionTime  time.Duration
	Ongoing, Before, Ring bool
}

func sortTold(list []told) []told {
	slices.SortFunc(list, func(a, b told) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.PID, b.PID)) })
	return list
}

func pidOf(s *Session) int {
	if s == nil {
		return 0
	}
	return int(s.PID)
}

// recount finds the episodes of a range, tick by tick.
func (c *crowd) recount(r Range) (episodes []told, pairs map[[2]int]time.Duration) {
	type looked struct {
		*sample.Tick
		roots map[int]map[int]bool
		tells bool
	}
	var all []looked
	pairs = map[[2]int]time.Duration{}
	for i := range c.ticks {
		tick := &c.ticks[i]
		if !tick.Outcome.Answered() || !r.Holds(tick.Planned) {
			continue
		}
		edges, tells := edgesOf(tick), true
		for e := range edges {
			tells = tells && e[1] != 0
			pid := func(n int) int { return n + 1000*min(n, 1) }
			pairs[[2]int{pid(e[0]), pid(e[1])}] += tick.Cadence
		}
		all = append(all, looked{tick, rootsOf(edges), tells})
	}
	for root := range crowdBackends + 1 {
		var now *told
		var last *sample.Tick
		victims := map[int]bool{}
		silent, any := 0, false // ticks that told otherwise since last, and at all
		for _, l := range all {
			behind, holds := l.roots[root]
			if !holds {
				if l.tells {
					silent++
					any = true
				}
				continue
			}
			if now == nil || silent >= 3 || l.Planned.Sub(last.Planned) > max(time.Minute, 3*last.Cadence) {
				episodes = append(episodes, told{PID: root + 1000*min(root, 1), First: l.Started, Before: !any && len(episodesOf(episodes, root)) == 0})
				now, victims = &episodes[len(episodes)-1], map[int]bool{}
			}
			maps.Copy(victims, behind)
			now.Last, now.End, now.Victims = l.Started, earlier(l.Started.Add(l.Cadence), r.To), len(victims)
			now.Blocked += l.Cadence
			now.SessionTime += time.Duration(len(behind)) * l.Cadence
			if len(behind) >= now.Most {
				now.Most, now.MostAt, now.Ring = len(behind), l.Started, behind[root]
			}
			last, silent = l.Tick, 0
			any = any || l.tells // the tick itself tells, so an episode after it has one before
		}
		if now != nil {
			now.Ongoing = silent == 0
		}
	}
	return sortTold(episodes), pairs
}

func episodesOf(all []told, root int) (list []told) {
	for _, e := range all {
		if e.PID == root+1000*min(root, 1) {
			list = append(list, e)
		}
	}
	return list
}

func (c *crowd) span() Range {
	from := c.from.Add(time.Duration(c.rnd.IntN(3000)-120) * time.Second)
	return Range{from, from.Add(time.Duration(1+c.rnd.IntN(2400)) * time.Second)}
}

func TestBlockingOverIsTrue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		c := newCrowd(t, seed)
		for n := range 30 {
			if n == 15 {
				c.compact(t, c.server.ID, noon, noon.Add(10*time.Minute), noon.Add(20*time.Minute), noon.Add(30*time.Minute))
			}
			r := c.span()
			got, err := c.BlockingOver(t.Context(), c.server, r, 1_000_000)
			if err != nil {
				t.Fatal(err)
			}
			var episodes []told
			pairs := map[[2]int]time.Duration{}
			for i := range got.Episodes {
				e := &got.Episodes[i]
				episodes = append(episodes, told{
					PID: pidOf(e.Session), First: e.First, Last: e.Last, End: e.End, MostAt: e.MostAt, Most: e.Behind + len(e.Ring), Victims: e.Victims,
					Blocked: e.Blocked, SessionTime: e.SessionTime, Ongoing: e.Ongoing, Before: e.Before, Ring: len(e.Ring) > 0,
				})
			}
			for _, p := range got.Pairs {
				pairs[[2]int{pidOf(p.Blocked), pidOf(p.Blocker)}] += p.Waited
			}
			wantEpisodes, wantPairs := c.recount(r)
			if diff := gocmp.Diff(wantEpisodes, sortTold(episodes)); diff != "" {
				t.Fatalf("seed %d, %s to %s: episodes (-want +got):\n%s", seed, r.From, r.To, diff)
			}
			if diff := gocmp.Diff(wantPairs, pairs); diff != "" || len(got.Pairs) != len(wantPairs) || got.Truncated || got.EpisodesTotal != len(wantEpisodes) {
				t.Fatalf("seed %d, %s to %s: truncated %v, pairs (-want +got):\n%s", seed, r.From, r.To, got.Truncated, diff)
			}
		}
		// What is read is bounded, and says so: it is the newest part.
		all := Range{c.from, c.from.Add(time.Hour)}
		for _, most := range []readLimits{{edges: 1, listed: 1e6, time: time.Hour}, {edges: 1e6, listed: 1, time: time.Hour}, {edges: 1e6, listed: 1e6}} {
			part, err := c.blockingOver(t.Context(), c.server, all, 5, most)
			if err != nil || !part.Truncated || !part.Range.From.After(all.From) || !part.Range.To.Equal(all.To) || !part.Coverage.Range.From.Equal(part.Range.From) {
				t.Fatalf("limits %+v: %v %+v, %v", most, part.Truncated, part.Range, err)
			}
			again, err := c.BlockingOver(t.Context(), c.server, part.Range, 5)
			part.Truncated = false
			if diff := gocmp.Diff(again, part); diff != "" || err != nil {
				t.Fatalf("limits %+v: %v (-asked +truncated):\n%s", most, err, diff)
			}
		}
	}
}

// what says what a backend does at a tick, as a span does.
func (c *crowd) what(tick *sample.Tick, backend int) string {
	if !tick.Outcome.Answered() {
		return string(NotSeenSpan)
	}
	for _, s := range tick.Sessions {
		if int(s.Session)/100 == backend {
			return fmt.Sprint(SampledSpan, " ", s.Class, " select ", s.Query-1)
		}
	}
	return string(NotActiveSpan)
}

func spanText(s *SessionSpan) string {
	if s.Session == nil {
		return string(s.Kind)
	}
	return fmt.Sprint(s.Kind, " ", s.Session.Class, " ", *s.Session.Query)
}

func TestSessionOverIsTrue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		c := newCrowd(t, 100+seed)
		for n := range 30 {
			if n == 15 {
				c.compact(t, c.server.ID, noon, noon.Add(10*time.Minute), noon.Add(20*time.Minute))
			}
			r, backend := c.span(), 1+c.rnd.IntN(crowdBackends)
			start := noon.Add(-time.Duration(backend) * time.Minute)
			got, err := c.SessionOver(t.Context(), c.server, SessionQuestion{Range: r, PID: int32(1000 + backend), BackendStart: &start, Limit: 1e6})
			if err != nil || got.Session == nil || int(got.Session.PID) != 1000+backend || got.Truncated {
				t.Fatalf("%+v: %v", got, err)
			}
			c.checkSpans(t, &got, r, backend)
			_, all := c.recount(r)
			pairs := map[[2]int]time.Duration{}
			for _, p := range got.Pairs {
				pairs[[2]int{pidOf(p.Blocked), pidOf(p.Blocker)}] += p.Waited
			}
			maps.DeleteFunc(all, func(p [2]int, _ time.Duration) bool { return p[0] != 1000+backend && p[1] != 1000+backend })
			if diff := gocmp.Diff(all, pairs); diff != "" {
				t.Fatalf("pairs (-want +got):\n%s", diff)
			}
			// The last ones, where there are too many.
			if len(got.Spans) > 3 {
				few, err := c.SessionOver(t.Context(), c.server, SessionQuestion{Range: r, PID: int32(1000 + backend), Limit: 3})
				if diff := gocmp.Diff(got.Spans[len(got.Spans)-3:], few.Spans); diff != "" || err != nil || !few.Truncated || !few.Range.From.Equal(few.Spans[0].Range.From) {
					t.Fatalf("%v, truncated %v (-all +few):\n%s", err, few.Truncated, diff)
				}
			}
		}
		got, err := c.SessionOver(t.Context(), c.server, SessionQuestion{Range: c.span(), PID: 4, Limit: 10})
		if err != nil || got.Session != nil || len(got.Spans) != 0 {
			t.Errorf("a stranger: %+v, %v", got, err)
		}
	}
}

// checkSpans holds spans against every tick.
func (c *crowd) checkSpans(t *testing.T, got *SessionHistory, r Range, backend int) {
	t.Helper()
	for i := range got.Spans {
		s := &got.Spans[i]
		if s.Range.Empty() || i > 0 && (!got.Spans[i-1].Range.To.Equal(s.Range.From) || spanText(s) == spanText(&got.Spans[i-1])) {
			t.Fatalf("span %d of %s: %+v", i, backendText(backend), s)
		}
	}
	ticks, blocked := make([]int, len(got.Spans)), make([]int, len(got.Spans))
	seen := map[time.Time]bool{}
	for i := range c.ticks {
		tick := &c.ticks[i]
		if !got.Range.Holds(tick.Planned) || !r.Holds(tick.Planned) {
			continue
		}
		at := slices.IndexFunc(got.Spans, func(s SessionSpan) bool { return s.Range.Holds(tick.Started) })
		if at < 0 || spanText(&got.Spans[at]) != c.what(tick, backend) {
			t.Fatalf("%s at %s: %s, in span %d of %+v", backendText(backend), tick.Started, c.what(tick, backend), at, got.Spans)
		}
		seen[tick.Started] = true
		if !tick.Outcome.Answered() {
			continue
		}
		ticks[at]++
		for e := range edgesOf(tick) {
			if e[0] == backend {
				blocked[at]++
				break
			}
		}
	}
	for i := range got.Spans {
		s := &got.Spans[i]
		if s.Ticks != ticks[i] || s.Blocked != blocked[i] || (s.Blocked > 0) != (len(s.Blockers) > 0) || s.Kind != NotSeenSpan && !seen[s.Range.From] {
			t.Fatalf("span %d of %s has %d ticks, blocked at %d: %+v", i, backendText(backend), ticks[i], blocked[i], s)
		}
	}
	// What stands longer than its tick promised was not seen.
	for i := range c.ticks[1:] {
		tick, next := &c.ticks[i], &c.ticks[i+1]
		gap := Range{tick.Started.Add(tick.Cadence), next.Started}.Clip(got.Range)
		if next.Planned.Sub(tick.Planned) <= tick.Cadence || gap.Empty() || !got.Range.Holds(tick.Started) || !r.Holds(next.Planned) {
			continue
		}
		at := slices.IndexFunc(got.Spans, func(s SessionSpan) bool { return s.Range.Holds(gap.From) })
		if got.Spans[at].Kind != NotSeenSpan {
			t.Fatalf("nobody looked from %s to %s: %+v", gap.From, gap.To, got.Spans[at])
		}
	}
}

func backendText(n int) string { return fmt.Sprint("backend ", 1000+n) }
