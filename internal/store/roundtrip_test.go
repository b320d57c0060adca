package store

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// viewRow is a row of report.activity; empty strings and nils are nulls.
type viewRow struct {
	Time, BackendStart, QueryStart, XactStart, StateChange *time.Time

	PID                                          int32
	Database, User, Application, Client, Backend string
	Leader, XminAge, BlockedBy                   *int32
	State, WaitType, WaitEvent                   string
	QueryID                                      *int64
	Query                                        string
}

// tickRow is a row of report.tick.
type tickRow struct {
	Time       time.Time
	Outcome    string
	Reason     string
	DurationMS float64
	Backends   *int32
}

// scenario makes random ticks together with what the views must show of them.
type scenario struct {
	r        *rand.Rand
	entries  sample.Entries
	day      int32
	activity []viewRow
	ledger   []tickRow
}

func newScenario(r *rand.Rand, t0 time.Time) *scenario {
	sc := &scenario{r: r, day: sample.Day(t0)}
	texts := []string{"", "x", "größe", "日本\U0001F418", "it's", `a "b" \ c`, "two\nlines\ttab", "'; drop table x; --", "{1,null}", "NULL"}
	text := func() string { return texts[r.IntN(len(texts))] }
	for id := range int32(12) {
		e := sample.SessionEntry{
			ID: id + 1, Day: sc.day, PID: 1000 + id, Database: text(), User: text(), Application: text(), ClientAddr: text(), BackendType: text(),
		}
		if sc.chance(0.7) {
			e.BackendStart = sc.micros(t0.Add(-time.Hour))
			e.DatabaseOID, e.UserOID = r.Uint32(), r.Uint32()
		}
		if sc.chance(0.2) {
			e.LeaderPID = 999
		}
		sc.entries.Sessions = append(sc.entries.Sessions, e)
	}
	for id, e := range []sample.WaitEntry{
		{State: "active", Type: sample.CPU},
		{State: "active", Type: "Lock", Event: "tuple"},
		{State: "idle in transaction", Type: "Client", Event: "ClientRead"},
		{State: "fastpath function call", Type: "IO", Event: text()},
	} {
		e.ID = int16(id + 1)
		sc.entries.Waits = append(sc.entries.Waits, e)
	}
	for id := range int32(5) {
		sc.entries.Queries = append(sc.entries.Queries, sample.QueryEntry{ID: id + 1, Day: sc.day, QueryID: int64(r.Uint64()), Own: sc.chance(0.5), Text: text()})
	}
	return sc
}

func (sc *scenario) chance(p float64) bool { return sc.r.Float64() < p }

// micros gives an instant within the hour after at. The history keeps
// milliseconds, so these are whole ones.
func (sc *scenario) micros(at time.Time) int64 {
	return at.UnixMicro() + sc.r.Int64N(3600_000)*1000
}

func instant(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	at := time.UnixMicro(micros).UTC()
	return &at
}

// ticks makes a window's ticks; xid is the server's next transaction id.
func (sc *scenario) ticks(t0 time.Time, xid int64) []sample.Tick {
	quiet := sc.chance(0.2) // nothing but ok
	var ticks []sample.Tick
	var base, before int64
	for i := range 1 + sc.r.IntN(15) {
		at := t0.Add(time.Duration(i) * time.Second)
		k := sample.Tick{
			Planned: at, Started: at.Add(time.Duration(sc.r.IntN(300)) * time.Millisecond), Window: t0, Span: 15 * time.Second, Cadence: time.Second,
			Duration: time.Duration(sc.r.IntN(3_000_000)) * time.Microsecond, Backends: sc.r.Int32N(500),
		}
		if !quiet && sc.chance(0.3) {
			k.Outcome, k.Reason = sample.Outcome(1+sc.r.IntN(3)), sample.Reason(1+sc.r.IntN(20))
		}
		if !k.Outcome.Answered() {
			k.Backends = sample.Unset
		} else {
			xid += sc.r.Int64N(50)
			if !quiet && sc.chance(0.9) {
				k.NextXID = xid
			}
			if base == 0 {
				base = k.NextXID
			}
		}
		ticks = append(ticks, k)
		before = sc.expectTick(&ticks[i], before)
	}
	// The base is that of the first tick that knew it, also for earlier ones.
	for i := range ticks {
		if ticks[i].Outcome.Answered() {
			previous := int64(0)
			if i > 0 {
				previous = ticks[i-1].NextXID
			}
			sc.sessions(&ticks[i], base, previous)
		}
	}
	return ticks
}

func (sc *scenario) expectTick(k *sample.Tick, before int64) int64 {
	e := tickRow{Time: k.Started, Outcome: k.Outcome.String(), Reason: k.Reason.String(), DurationMS: float64(k.Duration.Microseconds()) / 1000}
	if k.Backends != sample.Unset {
		backends := k.Backends
		e.Backends = &backends
	}
	sc.ledger = append(sc.ledger, e)
	return max(before, k.NextXID)
}

func (sc *scenario) sessions(k *sample.Tick, base, previous int64) {
	for _, i := range sc.r.Perm(len(sc.entries.Sessions))[:sc.r.IntN(8)] {
		n := &sc.entries.Sessions[i]
		wait := &sc.entries.Waits[sc.r.IntN(len(sc.entries.Waits))]
		x := sample.Session{Session: n.ID, Wait: wait.ID, Class: sample.ClassOf(wait.State, wait.Type, wait.Event), Blocker: sample.Unset}
		e := viewRow{
			Time: &k.Started, BackendStart: instant(n.BackendStart), PID: n.PID, Database: n.Database, User: n.User, Application: n.Application,
			Client: n.ClientAddr, Backend: n.BackendType, State: wait.State, WaitType: wait.Type, WaitEvent: wait.Event,
		}
		if n.LeaderPID != 0 {
			e.Leader = &n.LeaderPID
		}
		if sc.chance(0.8) {
			q := &sc.entries.Queries[sc.r.IntN(len(sc.entries.Queries))]
			x.Query, e.QueryID, e.Query = q.ID, &q.QueryID, q.Text
		}
		if sc.chance(0.8) {
			x.QueryStart = sc.micros(k.Window.Add(-2 * time.Hour))
			x.StateChange = x.QueryStart
			if sc.chance(0.5) {
				x.StateChange = sc.micros(k.Window.Add(-time.Hour))
			}
			if sc.chance(0.6) {
				x.XactStart = sc.micros(k.Window.Add(-30 * 24 * time.Hour)) // more than 2^31 ms would be clamped
			}
			if sc.chance(0.1) {
				x.XactStart = x.QueryStart
			}
			e.QueryStart, e.XactStart, e.StateChange = instant(x.QueryStart), instant(x.XactStart), instant(x.StateChange)
			if age := x.QueryStart - x.XactStart; x.XactStart != 0 && age > 2147483647_000 {
				e.XactStart = instant(x.QueryStart - 2147483647_000)
			}
		}
		if sc.chance(0.5) && base != 0 {
			age := sc.r.Int32N(1000) - 100
			x.Xmin = uint32(base) - uint32(age)
			if x.Xmin != 0 && (previous == 0 || int32(uint32(previous)-x.Xmin) > 0) {
				e.XminAge = &age
			}
		}
		if sc.chance(0.2) {
			b := &sc.entries.Sessions[sc.r.IntN(len(sc.entries.Sessions))]
			x.Blocker, e.BlockedBy = b.ID, &b.PID
		} else if sc.chance(0.1) {
			x.Blocker = 0
		}
		k.Sessions = append(k.Sessions, x)
		sc.activity = append(sc.activity, e)
	}
}

// TestViewsShowWhatWasSampled writes random windows and reads them back
// through the views: with nulls of every kind, quiet and failed ticks, odd
// text, transaction ids about to wrap.
func TestViewsShowWhatWasSampled(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	if _, err := conn.Exec(t.Context(), "set timezone = 'Pacific/Chatham'"); err != nil {
		t.Fatal(err)
	}
	const rounds = 40
	for seed := range uint64(rounds) {
		server := newServer(t, s, fmt.Sprintf("db %d", seed))
		// Two windows, on both sides of midnight for some.
		t0 := time.Date(2024, 12, 31, 23, 59, 30, 0, time.UTC).Add(time.Duration(seed%3) * 15 * time.Second)
		sc := newScenario(rand.New(rand.NewPCG(seed, 7)), t0)
		ticks := sc.ticks(t0, int64(seed)<<32-200)
		b := sample.Batch{Windows: []sample.Window{sample.NewWindow(server, ticks)}, Visits: []*sample.Visit{{Server: server, Entries: sc.entries}}}
		mustAppend(t, s, b, b)
		compare(t, conn, server, seed, sc)
		if t.Failed() {
			return
		}
	}
}

func compare(t *testing.T, conn *pgx.Conn, server target.ID, seed uint64, sc *scenario) {
	t.Helper()
	const activity = `
select "time", backend_start, query_start, xact_start, state_change, pid, coalesce(database_name, ''), coalesce(user_name, ''), application_name,
       coalesce(client_addr, ''), backend_type, leader_pid, xmin_age, blocked_by_pid, state, wait_event_type, wait_event, query_id, coalesce(query, '')
  from report.activity
 where server_id = $1 and t0 between '2024-12-31 23:00Z' and '2025-01-01 01:00Z'
 order by "time", pid`
	found, err := conn.Query(t.Context(), activity, server)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(found, pgx.RowToStructByPos[viewRow])
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(sc.activity, func(a, b viewRow) int {
		return cmp.Or(a.Time.Compare(*b.Time), cmp.Compare(a.PID, b.PID))
	})
	if diff := gocmp.Diff(sc.activity, got); diff != "" && len(sc.activity)+len(got) > 0 {
		t.Errorf("seed %d: report.activity (-sampled +read):\n%s", seed, diff)
	}
	const ledger = `
select "time", outcome, coalesce(reason, ''), duration_ms::float8, backends from report.tick where server_id = $1 order by "time"`
	found, err = conn.Query(t.Context(), ledger, server)
	if err != nil {
		t.Fatal(err)
	}
	ticks, err := pgx.CollectRows(found, pgx.RowToStructByPos[tickRow])
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(sc.ledger, ticks); diff != "" {
		t.Errorf("seed %d: report.tick (-sampled +read):\n%s", seed, diff)
	}
}
