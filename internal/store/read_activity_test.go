package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

var noon = time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC)

// historyServer makes a server that was added an hour before noon, and the
// partitions of that day.
func historyServer(t *testing.T, s *Store, dsn string) target.Target {
	t.Helper()
	if _, err := catalogOf(t, s).CreateServer(t.Context(), exampleServer("db1")); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, dsn, "update pgam.server set created_at = '2024-11-22 11:00Z', activity_interval_seconds = null")
	partitionsAround(t, s, noon)
	server, err := catalogOf(t, s).Server(t.Context(), "db1")
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// seedWaits fills the dictionary of waits; the ids are the keys of classes.
func seedWaits(t *testing.T, dsn string, server target.ID) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.wait (server_id, id, state, wait_event_type, wait_event) values
  (%[1]d, 1, 'active', 'CPU', ''),
  (%[1]d, 2, 'active', 'Lock', 'transactionid'),
  (%[1]d, 3, 'idle in transaction', 'Client', 'ClientRead'),
  (%[1]d, 4, 'active', 'IO', 'DataFileRead')`, server))
}

// seedWindow stores a window of 15 ticks, a second apart, 0.2 s after the full
// second: each has one session on the CPU, and the ticks from the sixth on
// one that waits for a lock.
func seedWindow(t *testing.T, dsn string, server target.ID, t0 time.Time, outcomes, reasons string) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.activity_window (server_id, t0, span_ms, cadence_ms, samples, tick_offset_ms, tick_outcome, tick_reason,
       tick_duration_us, tick_backends, sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms)
select %d, '%s', 15000, 1000, 25, array(select i * 1000 + 200 from generate_series(0, 14) i), %s, %s,
       array_fill(900, array[15]), array_fill(7, array[15]), n.tick, n.session, n.wait, array_fill(1, array[25]),
       array_fill(-5000, array[25]), array_fill(1000, array[25])
  from (select array_agg(tick order by session, tick)::smallint[] as tick, array_agg(session order by session, tick) as session,
               array_agg(session order by session, tick)::smallint[] as wait
          from (select i as tick, 1 as session from generate_series(1, 15) i
                union all
                select i, 2 from generate_series(6, 15) i) x) n`,
		server, t0.Format(time.RFC3339), outcomes, reasons))
}

func seedMinute(t *testing.T, dsn string, server target.ID, minute time.Time, planned, ok, degraded, failed, skipped, cpu, lock int) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.activity_minute (server_id, minute, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped,
       samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
values (%d, '%s', 1000, %d, %d, %d, %d, %d, %d, %d, %d, 0, 0, 0, 0, 0, 0, 0, 0, 0, %d)`,
		server, minute.Format(time.RFC3339), planned, ok, degraded, failed, skipped, cpu+lock, cpu, lock, 2))
}

func planOf(t *testing.T, from, to time.Time, step time.Duration) history.ActivityPlan {
	t.Helper()
	r, err := history.NewRange(from, to)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := history.PlanActivity(r, step)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestActivityFromWindows(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	seedWaits(t, dsn, server.ID)
	seedWindow(t, dsn, server.ID, noon, "null", "null")
	// The last five ticks of the next window failed; its samples of them do not
	// exist in truth, and must not count here.
	seedWindow(t, dsn, server.ID, noon.Add(15*time.Second),
		"'{0,0,0,0,0,0,0,0,0,0,2,2,2,2,3}'", "'{0,0,0,0,0,0,0,0,0,0,1,1,1,1,14}'")

	got, err := s.ActivityByWaitClass(t.Context(), server, planOf(t, noon, noon.Add(40*time.Second), 5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ cpu, lock, answered []int64 }
	want.cpu = []int64{5, 5, 5, 5, 5, 0, 0, 0}
	want.lock = []int64{0, 5, 5, 0, 5, 0, 0, 0}
	want.answered = []int64{5, 5, 5, 5, 5, 0, 0, 0}
	if diff := cmp.Diff(want.cpu, got.Samples[sample.ClassCPU]); diff != "" {
		t.Errorf("cpu (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.lock, got.Samples[sample.ClassLock]); diff != "" {
		t.Errorf("lock (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.answered, got.Answered); diff != "" {
		t.Errorf("answered (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int32{1, 2, 2, 1, 2, 0, 0, 0}, got.MaxSessions); diff != "" {
		t.Errorf("max sessions (-want +got):\n%s", diff)
	}
	if !got.Times[0].Equal(noon) || !got.Times[7].Equal(noon.Add(35*time.Second)) {
		t.Errorf("times from %s to %s", got.Times[0], got.Times[7])
	}
	wantCoverage := history.Coverage{
		Range:   history.Range{From: noon, To: noon.Add(40 * time.Second)},
		Planned: 40, OK: 25, Failed: 4, Skipped: 11,
		FailedBy:   map[sample.Reason]int64{sample.Timeout: 4},
		SkippedBy:  map[sample.Reason]int64{sample.Overrun: 1, sample.NotRunning: 10},
		LongestGap: 15800 * time.Millisecond,
	}
	if diff := cmp.Diff(wantCoverage, got.Coverage); diff != "" {
		t.Errorf("coverage (-want +got):\n%s", diff)
	}

	// A range that begins within a window takes its own ticks only.
	got, err = s.ActivityByWaitClass(t.Context(), server, planOf(t, noon.Add(12*time.Second), noon.Add(17*time.Second), time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 1, 1, 0, 0}, got.Samples[sample.ClassLock]); diff != "" {
		t.Errorf("lock (-want +got):\n%s", diff)
	}
	if got.Coverage.Planned != 5 || got.Coverage.OK != 5 {
		t.Errorf("coverage %+v", got.Coverage)
	}
}

func TestActivityFromMinutes(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	other := server
	other.ID++
	for i := range 180 { // 11:00 to 14:00
		minute := noon.Add(time.Duration(i-60) * time.Minute)
		switch i {
		case 90: // 12:30: 20 ticks failed
			seedMinute(t, dsn, server.ID, minute, 60, 40, 0, 20, 0, 40, 0)
			for w := range 4 {
				outcomes := "null"
				reasons := "null"
				if w == 1 {
					outcomes, reasons = "array_fill(2::smallint, array[15])", "array_fill(5::smallint, array[15])"
				}
				if w == 2 {
					outcomes = "array_fill(2::smallint, array[5]) || array_fill(0::smallint, array[10])"
					reasons = "array_fill(1::smallint, array[5]) || array_fill(0::smallint, array[10])"
				}
				seedWindow(t, dsn, server.ID, minute.Add(time.Duration(w)*15*time.Second), outcomes, reasons)
			}
		case 120, 121: // 13:00 and 13:01: no collector
		default:
			seedMinute(t, dsn, server.ID, minute, 60, 59, 1, 0, 0, 60, 30)
		}
		seedMinute(t, dsn, other.ID, minute, 60, 60, 0, 0, 0, 7777, 7777)
	}
	got, err := s.ActivityByWaitClass(t.Context(), server, planOf(t, noon, noon.Add(2*time.Hour), 30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{30 * 60, 29*60 + 40, 28 * 60, 30 * 60}, got.Samples[sample.ClassCPU]); diff != "" {
		t.Errorf("cpu (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{30 * 60, 29*60 + 40, 28 * 60, 30 * 60}, got.Answered); diff != "" {
		t.Errorf("answered (-want +got):\n%s", diff)
	}

	// Three hours are counted by minutes, with the faulty ones in detail, and
	// end in the middle of a minute.
	r := history.Range{From: noon.Add(-time.Hour), To: noon.Add(2*time.Hour - 30*time.Second)}
	coverage, err := s.Coverage(t.Context(), server, r)
	if err != nil {
		t.Fatal(err)
	}
	want := history.Coverage{
		Range:   r,
		Planned: 180*60 - 30, OK: 176*59 + 40, Degraded: 176, Failed: 20, Skipped: 120 + 30,
		FailedBy:   map[sample.Reason]int64{sample.Refused: 15, sample.Timeout: 5},
		SkippedBy:  map[sample.Reason]int64{sample.NotRunning: 150},
		LongestGap: 2 * time.Minute,
	}
	if diff := cmp.Diff(want, coverage); diff != "" {
		t.Errorf("coverage (-want +got):\n%s", diff)
	}

	// What the windows said when they are no longer kept.
	pgtest.Exec(t, dsn, "delete from history.activity_window")
	coverage, err = s.Coverage(t.Context(), server, r)
	if err != nil {
		t.Fatal(err)
	}
	want.FailedBy = map[sample.Reason]int64{sample.None: 20}
	if diff := cmp.Diff(want, coverage); diff != "" {
		t.Errorf("coverage without windows (-want +got):\n%s", diff)
	}
}

func TestCoverageJudges(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	now := pgtest.Value[time.Time](t, dsn, "select now()").UTC()
	partitionsAround(t, s, now.Add(-time.Hour), now)

	// Before the server was added nothing was promised.
	before := history.Range{From: noon.Add(-3 * time.Hour), To: noon.Add(-2 * time.Hour)}
	if c, err := s.Coverage(t.Context(), server, before); err != nil || c.Planned != 0 || c.Skipped != 0 {
		t.Errorf("before it was added: %+v, %v", c, err)
	}
	// Half of it is since then.
	half := history.Range{From: noon.Add(-70 * time.Minute), To: noon.Add(-50 * time.Minute)}
	if c, err := s.Coverage(t.Context(), server, half); err != nil || c.Planned != 600 || c.Skipped != 600 {
		t.Errorf("when it was added: %+v, %v", c, err)
	}
	// A server of this second has missed nothing yet.
	fresh := server
	fresh.CreatedAt = now
	if c, err := s.Coverage(t.Context(), fresh, history.Range{From: now.Add(-time.Minute), To: now.Add(time.Minute)}); err != nil || c.Planned != 0 {
		t.Errorf("just added: %+v, %v", c, err)
	}
	// While windows come in, the time after the newest is not judged.
	newest := now.Truncate(15 * time.Second).Add(-15 * time.Second)
	seedWindow(t, dsn, server.ID, newest, "null", "null")
	c, err := s.Coverage(t.Context(), server, history.Range{From: newest, To: now.Add(time.Hour)})
	if err != nil || c.Planned != 15 || c.OK != 15 || !c.Range.To.Equal(newest.Add(15*time.Second)) {
		t.Errorf("while a collector runs: %+v, %v", c, err)
	}
	// A cadence of its own is what is missing.
	slow := server
	slow.Intervals.Activity = 10 * time.Second
	if c, err := s.Coverage(t.Context(), slow, history.Range{From: noon, To: noon.Add(time.Hour)}); err != nil || c.Planned != 360 {
		t.Errorf("slow cadence: %+v, %v", c, err)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	partitionsAround(t, s, noon.AddDate(0, 0, -1))
	seedWaits(t, dsn, server.ID)
	seedWindow(t, dsn, server.ID, noon, "null", "null")
	seedWindow(t, dsn, server.ID, noon.Add(15*time.Second), "array_fill(2::smallint, array[15])", "array_fill(1::smallint, array[15])")
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.session (server_id, day, id, pid, backend_start, database_oid, database_name, user_oid, user_name, application_name, client_addr, backend_type, leader_pid) values
  (%[1]d, '2024-11-22', 1, 4711, '2024-11-22 11:59Z', 5, 'shop', 10, 'größe', '', null, 'client backend', null),
  (%[1]d, '2024-11-22', 2, 4712, null, 5, 'shop', 11, 'app', 'psql', '10.0.0.7', 'parallel worker', 4711),
  (%[1]d, '2024-11-21', 1, 9, null, null, 'wrong day', null, null, null, null, null, null);
insert into history.query (server_id, id, query_id, own, text, first_seen_on, last_seen_on) values
  (%[1]d, 1, -42, true, 'select $1', '2024-11-22', '2024-11-22');
update history.activity_window set sample_blocker = array_fill(null::int, array[15]) || array_fill(1, array[5]) || array_fill(0, array[5]) where t0 = '2024-11-22 12:00Z'`, server.ID))

	got, err := s.At(t.Context(), server, noon.Add(8500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ptr := func(d time.Duration) *time.Time { at := noon.Add(d); return &at }
	str := func(s string) *string { return &s }
	num := func(n int32) *int32 { return &n }
	queryID := int64(-42)
	want := []history.Session{
		{
			ID: 1, PID: 4711, BackendStart: ptr(-time.Minute), Database: str("shop"), User: str("größe"), BackendType: str("client backend"),
			State: "active", WaitEventType: "CPU", QueryID: &queryID, OwnFingerprint: true, Query: str("select $1"),
			QueryStart: ptr(-5 * time.Second), XactStart: ptr(-6 * time.Second), StateChange: ptr(-5 * time.Second),
		},
		{
			ID: 2, PID: 4712, LeaderPID: num(4711), Database: str("shop"), User: str("app"), Application: str("psql"), ClientAddr: str("10.0.0.7"),
			BackendType: str("parallel worker"), State: "active", WaitEventType: "Lock", WaitEvent: "transactionid", Class: sample.ClassLock,
			QueryID: &queryID, OwnFingerprint: true, Query: str("select $1"),
			QueryStart: ptr(-5 * time.Second), XactStart: ptr(-6 * time.Second), StateChange: ptr(-5 * time.Second),
			Blocked: true, BlockedByPID: num(4711), BlockerID: num(1),
		},
	}
	if diff := cmp.Diff(want, got.Sessions); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if !got.At.Equal(noon.Add(8200*time.Millisecond)) || got.Outcome != sample.OK || got.Backends == nil || *got.Backends != 7 {
		t.Errorf("tick at %s, %s, %v backends", got.At, got.Outcome, got.Backends)
	}

	// The second window failed: the newest answered tick is that of the first,
	// whose blocker is no session.
	got, err = s.At(t.Context(), server, noon.Add(40*time.Second))
	if err != nil || !got.At.Equal(noon.Add(14200*time.Millisecond)) || len(got.Sessions) != 2 {
		t.Fatalf("after failures: %+v, %v", got, err)
	}
	if n := got.Sessions[1]; !n.Blocked || n.BlockedByPID != nil {
		t.Errorf("blocked by no session: %+v", n)
	}
	// The time before is counted: 10 s before the first window, 15 ok, 15 not, 10 s after.
	if c := got.Coverage; c.Planned != 60 || c.OK != 15 || c.Failed != 15 || c.Skipped != 30 {
		t.Errorf("coverage %+v", c)
	}
	for _, at := range []time.Duration{-time.Second, 200*time.Millisecond - 1, 106 * time.Second, time.Hour} {
		got, err := s.At(t.Context(), server, noon.Add(at))
		if err != nil || !got.At.IsZero() || len(got.Sessions) != 0 {
			t.Errorf("%s: %+v, %v", at, got, err)
		}
	}
}

// A question of an hour touches the partition of that day only.
func TestActivityPrunes(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	for d := range 5 {
		partitionsAround(t, s, noon.AddDate(0, 0, d-2))
	}
	rows, err := s.pool.Query(t.Context(), `
explain select t0 from unnest($2::timestamptz[], $3::timestamptz[]) as r (lo, hi)
  join history.activity_window w on w.server_id = $1 and w.t0 > r.lo and w.t0 < r.hi
 where w.t0 > $4 and w.t0 < $5`, server.ID, []time.Time{noon}, []time.Time{noon.Add(time.Hour)}, noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	var line string
	for rows.Next() {
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan.String(), "activity_window_p20241122") || strings.Contains(plan.String(), "activity_window_p20241121") {
		t.Errorf("plan:\n%s", &plan)
	}
}
