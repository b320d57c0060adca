package e2e

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
)

type lockRow struct {
	Type     string  `json:"type"`
	Mode     string  `json:"mode"`
	Relation *string `json:"relation"`
}

type rootRow struct {
	Kind        string   `json:"kind"`
	PID         *int32   `json:"pid"`
	Transaction *string  `json:"prepared_transaction"`
	Behind      int      `json:"sessions_behind"`
	Directly    int      `json:"wait_directly"`
	Depth       int      `json:"depth"`
	Lock        *lockRow `json:"lock"`
	Application *string  `json:"application"`
}

type edgeRow struct {
	Blocked struct {
		PID int32 `json:"pid"`
	} `json:"blocked"`
	Blocker *struct {
		PID         int32   `json:"pid"`
		Transaction *string `json:"prepared_transaction"`
	} `json:"blocker"`
	Lock  *lockRow `json:"lock"`
	Depth int      `json:"depth"`
}

type momentAnswer struct {
	SampledAt *time.Time    `json:"sampled_at"`
	Burst     bool          `json:"burst"`
	Backends  *int32        `json:"backends"`
	Sessions  []sessionThen `json:"sessions"`
	Total     int           `json:"sessions_total"`
	Next      *string       `json:"next_cursor"`
	Blocking  struct {
		Waiting int       `json:"waiting"`
		Roots   []rootRow `json:"roots"`
		Edges   []edgeRow `json:"edges"`
	} `json:"blocking"`
	Xmin []struct {
		Holder string `json:"holder"`
		Name   string `json:"name"`
	} `json:"oldest_xmin"`
	Coverage coverage `json:"coverage"`
}

type eventRow struct {
	At      time.Time `json:"at"`
	Scope   string    `json:"scope"`
	Kind    string    `json:"kind"`
	Subject *string   `json:"subject"`
	Old     *string   `json:"old"`
	New     *string   `json:"new"`
}

func (e eventRow) String() string {
	text := e.Kind
	if e.Subject != nil {
		text += " " + *e.Subject
	}
	if e.Kind == "setting" {
		text += " " + *e.Old + " > " + *e.New
	}

	return text
}

type keyRow struct {
	Key   *string  `json:"key"`
	Query *string  `json:"query"`
	Range *sideRow `json:"range"`
	Other *sideRow `json:"other_range"`
	sideRow
}

type sideRow struct {
	Samples int64   `json:"samples"`
	Average float64 `json:"average_active_sessions"`
	Share   float64 `json:"share"`
}

type finding struct {
	Severity string `json:"severity"`
	Rule     string `json:"rule"`
	Text     string `json:"text"`
}

type topRow struct {
	By       string   `json:"by"`
	Rows     []keyRow `json:"rows"`
	Baseline int64    `json:"baseline_ticks"`
}

type blockerRow struct {
	Root            rootRow `json:"root"`
	BlockedSeconds  float64 `json:"blocked_seconds"`
	SessionSeconds  float64 `json:"session_seconds"`
	SessionsBlocked int     `json:"sessions_blocked"`
}

type incidentAnswer struct {
	From      time.Time    `json:"from"`
	Findings  []finding    `json:"findings"`
	Missing   []string     `json:"missing"`
	Timeline  series       `json:"timeline"`
	Instant   momentAnswer `json:"instant"`
	Blockers  []blockerRow `json:"blockers"`
	Tops      []topRow     `json:"tops"`
	Databases []struct {
		Database string   `json:"database"`
		Commits  *float64 `json:"commits_per_second"`
	} `json:"databases"`
	MaxBackends    *int32     `json:"max_backends"`
	MaxConnections *int64     `json:"max_connections"`
	Events         []eventRow `json:"events"`
	Coverage       coverage   `json:"coverage"`
}

// TestIncident plays a bad minute on a real server, recorded as it always is,
// and asks afterwards what happened: docs/INCIDENT.md tells the same story.
func TestIncident(t *testing.T) {
	t.Parallel()
	target := startIncident(t)
	e := up(t, dataFolder(t))
	e.login(t, e.Password)
	r := &reader{everything: e, answers: map[string]string{}}
	path := "/api/v1/servers/" + incidentServer
	added := time.Now()
	e.call(t, http.StatusCreated, http.MethodPost, "/api/v1/servers", map[string]any{
		"name": incidentServer, "host": target.Host(), "port": target.Port(), "user": pgtest.User, "password": pgtest.Password,
		"database": databaseName, "intervals": map[string]any{"inventory_seconds": 2},
	})
	stream := e.listen(t, path+"/stream")

	awaitKnown(t, e)
	awaitClock(t, time.Until(added.Add(10*time.Second))) // With some quiet time first.
	target.write(t, func() bool {
		return pgtest.Value[bool](t, e.StatsDSN, "select exists (select from report.activity where server = $1 and wait_event_type = 'IO' and backend_type in ('checkpointer', 'client backend'))", incidentServer)
	})
	// The incident's window is a minute, and is compared with the time before it.
	awaitClock(t, time.Until(added.Add(33*time.Second)))
	target.change(t)
	target.pileUp(t)
	target.storm(t)
	stream.await(t, "those who wait", func(tick liveTick) bool {
		return tick.Waiting == allWaiting && len(tick.Roots) == 2 && *tick.Roots[0].PID == target.migration && tick.Sessions.Lock == allWaiting
	})
	awaitClock(t, 8*time.Second) // Some ticks of it, and a look at settings and databases.
	at := time.Now()
	target.Stop(t)
	stream.await(t, "a problem", func(tick liveTick) bool { return tick.Problem != nil })
	awaitClock(t, 4*time.Second) // It is missed.
	target.Start(t)
	at = awaitPileUp(t, e, path, at)
	awaitEvents(t, e, path, "setting", "statistics_reset", "database_dropped", "restart")
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, e.StatsDSN, "select count(*)::int from report.tick where server = $2 and outcome = 'failed' and time > $1", at, incidentServer) >= 3
	}, "the server to be missed")
	awaitPeace(t, e, path)
	awaitStored(t, e, path, at.Add(20*time.Second))

	s := story{reader: r, incident: target, path: path, at: at}
	s.checkIncident(t)
	s.checkInstant(t)
	s.checkBlocking(t)
	s.checkEvents(t)
	s.checkTops(t)
	s.checkFleet(t)
	s.checkReports(t)
	r.expectNoLiterals(t)
	e.stop(t)
	if reason := <-stream.ended; !strings.Contains(reason, "the program stops") {
		t.Errorf("the stream ended with %q", reason)
	}
}

// awaitKnown waits until everything about the server was asked once.
func awaitKnown(t *testing.T, e *everything) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, e.StatsDSN, `select (select count(*) from report.database where database_name in ('scratch', $1)) = 2
 and exists (select from report.setting where server = $2 and name = 'work_mem') and exists (select from report.tick where server = $2 and outcome = 'ok')
 and exists (select from report.database_stat where server = $2 and database_name = $1)`, databaseName, incidentServer)
	}, "a first look at everything")
}

// awaitEvents waits until there is an event of each of these kinds.
func awaitEvents(t *testing.T, e *everything, path string, kinds ...string) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		answer := get[struct {
			Items []eventRow `json:"items"`
		}](t, e, "%s/history/events", path)

		return !slices.ContainsFunc(kinds, func(kind string) bool {
			return !slices.ContainsFunc(answer.Items, func(e eventRow) bool { return e.Kind == kind })
		})
	}, "events: "+strings.Join(kinds, ", "))
}

// awaitPileUp waits until the last tick before an instant that saw everybody who
// waits, and everybody who is connected, in full detail is stored, and returns when
// that was.
func awaitPileUp(t *testing.T, e *everything, path string, until time.Time) time.Time {
	t.Helper()
	var then momentAnswer
	pgtest.WaitFor(t, func() bool {
		for when := until; when.After(until.Add(-8 * time.Second)); when = when.Add(-time.Second) {
			then = get[momentAnswer](t, e, "%s/history/at?at=%s", path, url.QueryEscape(when.UTC().Format(time.RFC3339Nano)))

			// A slow machine may not tell for whom all of them wait, for a moment.
			whole := len(then.Blocking.Roots) == 2 && !slices.ContainsFunc(then.Blocking.Roots, func(r rootRow) bool { return r.Kind == "not_seen" })
			if then.Burst && then.Blocking.Waiting == allWaiting && whole && *then.Backends >= stormedTo {
				return true
			}
		}

		return false
	}, "the pile-up in stats_db")

	return *then.SampledAt
}

// awaitPeace waits until the server is seen again, and nobody waits.
func awaitPeace(t *testing.T, e *everything, path string) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		now := get[momentAnswer](t, e, "%s/history/at", path)

		return now.SampledAt != nil && now.Blocking.Waiting == 0
	}, "the restarted server in stats_db")
}

// story is what happened, and whom to ask about it.
type story struct {
	*reader

	incident *incident
	path     string
	at       time.Time
}

func (s *story) span() string {
	return "from=" + s.at.Add(-30*time.Second).Format(time.RFC3339) + "&to=" + s.at.Add(30*time.Second).Format(time.RFC3339)
}

func (s *story) checkIncident(t *testing.T) {
	t.Helper()
	i := hear[incidentAnswer](t, s.reader, "incident", "%s/incident?window=1m&at=%s", s.path, url.QueryEscape(s.at.Format(time.RFC3339Nano)))
	s.checkCoverage(t, i.Coverage)
	s.checkRoots(t, i.Instant.Blocking.Roots)
	i.Blockers = slices.DeleteFunc(i.Blockers, func(b blockerRow) bool { return b.Root.Kind == "not_seen" })
	if len(i.Blockers) < 2 {
		t.Fatalf("blockers %+v", i.Blockers)
	}
	// When all are cut off, those who waited may for a moment block each other.
	for _, b := range i.Blockers[2:] {
		if b.BlockedSeconds > 3 {
			t.Errorf("one more blocker: %+v", b)
		}
	}
	s.checkRoots(t, []rootRow{i.Blockers[0].Root, i.Blockers[1].Root})
	// Seconds in which nobody was seen do not count. All of them were seen at once in
	// one at least.
	for n, victims := range []int{behindMigration, behindPrepared} {
		if b := i.Blockers[n]; b.SessionsBlocked != victims || b.BlockedSeconds < 1 || b.BlockedSeconds > 60 ||
			b.SessionSeconds < float64(victims) || b.SessionSeconds > float64(victims)*b.BlockedSeconds {
			t.Errorf("blocker %d: %+v, want %d victims", n, b, victims)
		}
	}
	for _, top := range i.Tops {
		first := top.Rows[0]
		switch top.By {
		case "wait_event":
			if first.Key == nil || *first.Key != "Lock:relation" || first.Range.Share < 0.2 || top.Baseline < 1 {
				t.Errorf("top wait %s of %d ticks of the hour before", show(first), top.Baseline)
			}
		case "query":
			if first.Query == nil || !strings.HasPrefix(*first.Query, "update orders set note = ") {
				t.Errorf("top query %s", show(first))
			}
		case "application":
			if first.Key == nil || *first.Key != "web" {
				t.Errorf("top application %s", show(first))
			}
		}
	}
	if len(i.Tops) != 6 || slices.ContainsFunc(i.Missing, func(m string) bool { return !strings.Contains(m, "disks") }) {
		t.Errorf("%d tops; missing: %q", len(i.Tops), i.Missing)
	}
	if i.MaxBackends == nil || *i.MaxBackends < stormedTo || i.MaxConnections == nil || *i.MaxConnections != incidentMax {
		t.Errorf("connections %v of %v", i.MaxBackends, i.MaxConnections)
	}
	var happened []string
	for _, e := range i.Events {
		happened = append(happened, e.String())
	}
	if len(happened) > 0 && happened[len(happened)-1] != "restart" {
		t.Errorf("the restart is not the last event of %q", happened)
	}
	slices.Sort(happened)
	if diff := cmp.Diff([]string{
		"burst_started lock_waits", "database_dropped scratch", "restart", "setting work_mem 4MB > 13MB", "statistics_reset " + databaseName,
	}, happened); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s.checkTimeline(t, i.Timeline)
	s.checkFindings(t, i)
	s.keep(t, "incident.svg", []byte(picture(t, i.Timeline, i.From, i.Events)))
}

// checkFindings looks for sentences that name what happened.
func (s *story) checkFindings(t *testing.T, i incidentAnswer) {
	t.Helper()
	for _, want := range [][]string{
		{"critical", "blocking", fmt.Sprintf("%d sessions waited for a lock of the type relation on public.orders behind pid %d, idle in transaction for ", behindMigration, s.incident.migration), ", application " + migration},
		{"warning", "blocking", fmt.Sprintf("%d sessions waited for a lock of the type transactionid behind a prepared transaction %s", behindPrepared, inTheWay)},
		{"", "connections", fmt.Sprintf("connections reached %d of %d", *i.MaxBackends, incidentMax)},
		{"critical", "event", ": restart, from "},
		{"info", "event", ": burst started lock_waits, "},
		{"warning", "event", ": database dropped scratch"},
		{"info", "event", ": setting work_mem, from 4MB to 13MB"},
		{"info", "event", ": statistics reset " + databaseName},
		{"", "coverage", "ticks were not seen"},
		{"warning", "load", "sessions were at work on average"},
		{"warning", "wait", "of the time was Lock:relation, "},
		{"warning", "query", "update orders set note = "},
	} {
		if !slices.ContainsFunc(i.Findings, func(f finding) bool {
			return strings.HasPrefix(f.Severity, want[0]) && f.Rule == want[1] && strings.Contains(f.Text, want[2]) && strings.Contains(f.Text, want[len(want)-1])
		}) {
			t.Errorf("no finding %q in %+v", want, i.Findings)
		}
	}
}

// checkRoots looks for the two that hold everybody up.
func (s *story) checkRoots(t *testing.T, got []rootRow) {
	t.Helper()
	text := func(s string) *string { return &s }
	none := int32(0)
	want := []rootRow{{
		Kind: "idle_in_transaction", PID: &s.incident.migration, Behind: behindMigration, Directly: lockWaiters + 1, Depth: 3,
		Lock: &lockRow{"relation", "RowExclusiveLock", text("public.orders")}, Application: text(migration),
	}, {
		Kind: "prepared_transaction", PID: &none, Transaction: text(inTheWay), Behind: behindPrepared, Directly: 1, Depth: 2,
		Lock: &lockRow{"transactionid", "ShareLock", nil},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
}

// checkCoverage looks for the gap of the restart. What else is missing is the
// machine's: a busy one answers late.
func (s *story) checkCoverage(t *testing.T, c coverage) {
	t.Helper()
	c.check(t)
	if c.Planned < 40 || c.Planned > 61 || c.Failed < 3 || c.OK+c.Degraded < 3 || c.Gap < 3 {
		t.Errorf("coverage %+v, want the gap of the restart", c)
	}
}

// checkTimeline looks for locks where they were.
func (s *story) checkTimeline(t *testing.T, line series) {
	t.Helper()
	most, unknown := 0.0, 0
	for n, v := range line.Sessions["lock"] {
		switch v {
		case nil:
			unknown++
			if line.MaxSessions[n] != nil {
				t.Errorf("bucket %d was seen and was not", n)
			}
		default:
			most = math.Max(most, *v)
		}
	}
	if most != allWaiting || unknown < 2 {
		t.Errorf("at most %v sessions waited for locks, in %d buckets it is not known", most, unknown)
	}
}

func show(row keyRow) string {
	text := func(s *string) string {
		if s == nil {
			return "null"
		}

		return *s
	}

	return fmt.Sprintf("%s (%s): %+v, before %+v", text(row.Key), text(row.Query), row.Range, row.Other)
}

// checkInstant reads the sessions of the moment page by page.
func (s *story) checkInstant(t *testing.T) {
	t.Helper()
	at := url.QueryEscape(s.at.Format(time.RFC3339Nano))
	whole := hear[momentAnswer](t, s.reader, "at", "%s/history/at?at=%s", s.path, at)
	whole.Coverage.check(t)
	s.checkRoots(t, whole.Blocking.Roots)
	if !whole.SampledAt.Equal(s.at) || whole.Blocking.Waiting != allWaiting || len(whole.Sessions) != whole.Total {
		t.Errorf("%d of %d sessions at %s, %d wait", len(whole.Sessions), whole.Total, whole.SampledAt, whole.Blocking.Waiting)
	}
	direct, viaBilling, prepared := 0, 0, 0
	for _, e := range whole.Blocking.Edges {
		switch {
		case e.Blocker == nil || e.Lock == nil:
			t.Errorf("edge %+v", e)
		case e.Blocker.PID == s.incident.migration && *e.Lock.Relation == "public.orders" && e.Depth == 1:
			direct++
		case e.Blocker.PID == s.incident.billing && e.Depth == 2:
			viaBilling++
		case e.Blocker.Transaction != nil && *e.Blocker.Transaction == inTheWay && e.Depth == 1:
			prepared++
		}
	}
	if direct != lockWaiters+1 || viaBilling < 1 || prepared != 1 {
		t.Errorf("%d wait for the migration, %d for billing, %d for the prepared transaction: %+v", direct, viaBilling, prepared, whole.Blocking.Edges)
	}
	var paged []sessionThen
	for next := ""; ; {
		page := hear[momentAnswer](t, s.reader, "at_page", "%s/history/at?limit=5&at=%s&cursor=%s", s.path, at, next)
		paged = append(paged, page.Sessions...)
		if page.Next == nil {
			break
		}
		next = url.QueryEscape(*page.Next)
	}
	if diff := cmp.Diff(whole.Sessions, paged); diff != "" {
		t.Errorf("sessions in pages (-whole +pages):\n%s", diff)
	}
	holds := slices.ContainsFunc(whole.Sessions, func(x sessionThen) bool {
		return x.PID == s.incident.migration && x.State == "idle in transaction" && strings.HasPrefix(*x.Query, "begin; alter table orders add column secret text default ")
	})
	if !holds {
		t.Errorf("the migration is not among %+v", whole.Sessions)
	}
}

// whoRow, blockingPast and sessionPast are answers about episodes and spans.
type whoRow struct {
	PID         *int32    `json:"pid"`
	Start       time.Time `json:"backend_start"`
	Transaction *string   `json:"prepared_transaction"`
}

type blockingPast struct {
	Truncated bool `json:"truncated"`
	Episodes  []struct {
		blockerRow

		Duration float64 `json:"duration_seconds"`
		Waiters  []struct {
			Session whoRow `json:"session"`
		} `json:"longest_waiters"`
	} `json:"episodes"`
	Pairs []struct {
		Blocked whoRow `json:"blocked"`
		Blocker whoRow `json:"blocker"`
	} `json:"pairs"`
}

type sessionPast struct {
	Session *whoRow    `json:"session"`
	Spans   []spanPast `json:"spans"`
}

type spanPast struct {
	Kind      string   `json:"kind"`
	State     *string  `json:"state"`
	WaitClass *string  `json:"wait_class"`
	BlockedBy []whoRow `json:"blocked_by"`
	Blocks    int      `json:"blocks"`
}

// checkBlocking follows the chain of waits through the time of the pile-up: to the
// migration, from it to billing, and to what billing did.
func (s *story) checkBlocking(t *testing.T) {
	t.Helper()
	past := hear[blockingPast](t, s.reader, "blocking", "%s/history/blocking?limit=500&%s", s.path, s.span())
	if past.Truncated || len(past.Episodes) < 2 {
		t.Fatalf("blocking %+v", past)
	}
	victims := []int{behindMigration, behindPrepared}
	for _, e := range past.Episodes {
		pid := e.Root.PID
		switch {
		case pid != nil && *pid == s.incident.migration:
			victims[0] = 0
			if e.SessionsBlocked != behindMigration || e.Root.Depth != 3 || len(e.Waiters) != 10 || e.Duration < e.BlockedSeconds-1 {
				t.Errorf("the migration's: %+v", e)
			}
		case e.Root.Kind == "prepared_transaction":
			victims[1] = 0
			if e.SessionsBlocked != behindPrepared {
				t.Errorf("the prepared transaction's: %+v", e)
			}
		}
	}
	if victims[0]+victims[1] > 0 {
		t.Errorf("some of %v wait in no episode of %+v", victims, past.Episodes)
	}
	var billing *whoRow
	for i := range past.Pairs {
		p := &past.Pairs[i]
		if p.Blocked.PID != nil && *p.Blocked.PID == s.incident.billing && p.Blocker.PID != nil && *p.Blocker.PID == s.incident.migration {
			billing = &p.Blocked
		}
	}
	if billing == nil {
		t.Fatalf("billing waits for the migration in none of %+v", past.Pairs)
	}
	one := hear[sessionPast](t, s.reader, "session", "%s/history/session?pid=%d&backend_start=%s&%s", s.path, *billing.PID, billing.Start.Format(time.RFC3339Nano), s.span())
	waits := slices.ContainsFunc(one.Spans, func(span spanPast) bool {
		return span.Kind == "sampled" && *span.WaitClass == "lock" && span.Blocks >= 1 &&
			slices.ContainsFunc(span.BlockedBy, func(by whoRow) bool { return by.PID != nil && *by.PID == s.incident.migration })
	})
	if one.Session == nil || !waits {
		t.Errorf("billing did %+v", one.Spans)
	}
}

// checkEvents reads all events in pages.
func (s *story) checkEvents(t *testing.T) {
	t.Helper()
	type page struct {
		Items    []eventRow `json:"items"`
		Next     *string    `json:"next_cursor"`
		Coverage coverage   `json:"coverage"`
	}
	whole := hear[page](t, s.reader, "events", "%s/history/events?from=%s&to=%s", s.path,
		s.at.Add(-2*time.Hour).Format(time.RFC3339), s.at.Add(time.Hour).Format(time.RFC3339))
	whole.Coverage.check(t)
	var paged []eventRow
	next, pages := "", 0
	for ; ; pages++ {
		one := hear[page](t, s.reader, "events_page", "%s/history/events?limit=2&from=%s&to=%s&cursor=%s", s.path,
			s.at.Add(-2*time.Hour).Format(time.RFC3339), s.at.Add(time.Hour).Format(time.RFC3339), next)
		paged = append(paged, one.Items...)
		if one.Next == nil {
			break
		}
		next = url.QueryEscape(*one.Next)
	}
	if diff := cmp.Diff(whole.Items, paged); diff != "" || pages < 3 {
		t.Errorf("events in %d pages (-whole +pages):\n%s", pages, diff)
	}
	got := map[string]bool{}
	for _, e := range whole.Items {
		got[e.Scope+": "+e.String()] = true
	}
	for _, want := range []string{
		"monitor: collector_started", "server: server_added", "server: setting work_mem 4MB > 13MB", "server: statistics_reset " + databaseName,
		"server: database_dropped scratch", "server: burst_started lock_waits", "server: restart",
	} {
		if !got[want] {
			t.Errorf("no event %q in %v", want, got)
		}
	}
	only := hear[page](t, s.reader, "events_kinds", "%s/history/events?kinds=restart,setting", s.path)
	for _, e := range only.Items {
		if e.Kind != "restart" && e.Kind != "setting" {
			t.Errorf("asked for restarts and settings, got %s", e)
		}
	}
	if len(only.Items) != 2 {
		t.Errorf("restarts and settings: %v", only.Items)
	}
}

// checkTops asks what took the time, and what did so before.
func (s *story) checkTops(t *testing.T) {
	t.Helper()
	type answer struct {
		Rows     []keyRow `json:"rows"`
		Coverage coverage `json:"coverage"`
	}
	top := hear[answer](t, s.reader, "top", "%s/history/top?by=query&wait_class=lock&%s", s.path, s.span())
	top.Coverage.check(t)
	if len(top.Rows) < 3 || !strings.HasPrefix(*top.Rows[0].Query, "update orders set note = ") || top.Rows[0].Share < 0.5 || top.Rows[0].Samples < lockWaiters {
		t.Errorf("queries that waited for locks: %s", s.answers["top"])
	}
	type comparison struct {
		Rows []keyRow `json:"rows"`
	}
	both := hear[comparison](t, s.reader, "compare", "%s/history/compare?by=wait_event&%s", s.path, s.span())
	if len(both.Rows) == 0 || both.Rows[0].Key == nil || *both.Rows[0].Key != "Lock:relation" || both.Rows[0].Range.Average <= 0 {
		t.Errorf("what changed most: %s", s.answers["compare"])
	}
	events := hear[comparison](t, s.reader, "waits", "%s/history/top?by=wait_event&limit=100&wait_class=io&from=%s", s.path, s.at.Add(-time.Hour).Format(time.RFC3339))
	if len(events.Rows) == 0 || !strings.HasPrefix(*events.Rows[0].Key, "IO:") {
		t.Errorf("waits for I/O: %s", s.answers["waits"])
	}
}

type fleetRow struct {
	Server         string   `json:"server"`
	Outcome        *string  `json:"last_tick_outcome"`
	Blocked        *int     `json:"blocked_sessions"`
	Load           *float64 `json:"average_active_sessions"`
	MaxConnections *int64   `json:"max_connections"`
	Coverage       coverage `json:"coverage"`
}

// checkFleet asks for the server as it is now, after its restart.
func (s *story) checkFleet(t *testing.T) {
	t.Helper()
	all := hear[struct {
		Servers []fleetRow `json:"servers"`
	}](t, s.reader, "fleet", "/api/v1/fleet?sort=blocked")
	at := slices.IndexFunc(all.Servers, func(s fleetRow) bool { return s.Server == incidentServer })
	if at < 0 {
		t.Fatalf("fleet %+v", all.Servers)
	}
	one := all.Servers[at]
	one.Coverage.check(t)
	if *one.Outcome != "ok" || *one.Blocked != 0 || one.Load == nil || *one.MaxConnections != incidentMax || one.Coverage.Planned > 240 {
		t.Errorf("fleet %s", s.answers["fleet"])
	}
}

// checkReports asks the same of the views.
func (s *story) checkReports(t *testing.T) {
	t.Helper()
	type row struct{ what, sql string }
	// Views tell when a tick was planned, answers when it began.
	planned := pgtest.Value[time.Time](t, s.StatsDSN, `
select time from report.tick where server = $1 and t0 > $2::timestamptz - interval '11 minutes' and time + delay_ms * interval '1 millisecond' = $2`, incidentServer, s.at)
	for _, q := range []row{
		{"waiters of the instant", `select count(distinct blocked_pid) = $4 from report.blocking where server = $1 and time = $2 and t0 between $2 - interval '10 minutes' and $2 and $3 > 0 and $5 <> ''`},
		{"the root", `select count(*) = $4 - 3 from (select distinct blocked_pid from report.blocking where server = $1 and time = $2 and root_pid = $3 and root_application = '` + migration + `' and $5 <> '') x`},
		{"relation", `select count(*) > 0 and $4 > 0 from report.blocking where server = $1 and time = $2 and blocker_pid = $3 and blocker_is_root and relation_name = 'public.orders' and $5 <> ''`},
		{"prepared", `select count(*) > 0 and $3 > 0 and $4 > 0 from report.blocking where server = $1 and time = $2 and blocker_type = 'prepared transaction' and blocker_application = $5`},
		{"sessions", `select count(*) filter (where blocked) = $4 and count(*) filter (where pid = $3 and state = 'idle in transaction') = 1 and bool_and(burst) and $5 <> ''
 from report.activity_between($1, $2, $2::timestamptz + interval '1 microsecond')`},
	} {
		if !pgtest.Value[bool](t, s.StatsDSN, q.sql, incidentServer, planned, s.incident.migration, allWaiting, inTheWay) {
			t.Errorf("the views do not say the same about: %s", q.what)
		}
	}
}
