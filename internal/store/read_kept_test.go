package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// seedHour stores the sum of an hour by second.
func seedHour(t *testing.T, dsn string, server target.ID, hour time.Time, ok, degraded, failed, skipped int) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.activity_total (server_id, step_seconds, bucket, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped,
       samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
values (%d, 3600, '%s', 1000, %d, %d, %d, %d, %d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`,
		server, hour.Format(time.RFC3339), ok+degraded+failed+skipped, ok, degraded, failed, skipped))
}

// Hours outlive minutes: what was seen is told from them then, also where ticks
// are missing.
func TestCoverageOutlivesMinutes(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn) // minutes are kept since November
	server.CreatedAt = time.Date(2024, 3, 1, 0, 30, 0, 0, time.UTC)
	october := time.Date(2024, 10, 31, 0, 0, 0, 0, time.UTC)
	at := func(hours float64) time.Time { return october.Add(time.Duration(hours * float64(time.Hour))) }
	seedHour(t, dsn, server.ID, at(19), 3600, 0, 0, 0)
	seedHour(t, dsn, server.ID, at(20), 3000, 450, 100, 50) // one of which more is said by nobody
	// The collector did not run in the next one.
	seedHour(t, dsn, server.ID, at(22), 3600, 0, 0, 0)
	seedHour(t, dsn, server.ID, at(23), 3600, 0, 0, 0)
	for m := range 60 {
		seedMinute(t, dsn, server.ID, at(24).Add(time.Duration(m)*time.Minute), 60, 60, 0, 0, 0, 0, 0)
	}
	want := history.Coverage{
		Range:   history.Range{From: at(19), To: at(25)},
		Planned: 6 * 3600, OK: 4*3600 + 3000, Degraded: 450, Failed: 100, Skipped: 3650,
		FailedBy:   map[sample.Reason]int64{sample.None: 100},
		SkippedBy:  map[sample.Reason]int64{sample.None: 50, sample.NotRunning: 3600},
		LongestGap: time.Hour,
	}
	for _, from := range []time.Time{at(19), at(19.75)} { // judged in full hours
		got, err := s.Coverage(t.Context(), server, history.Range{From: from, To: at(25)})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", from, diff)
		}
	}
	short, err := s.Coverage(t.Context(), server, history.Range{From: at(20.2), To: at(20.4)})
	if err != nil || !short.Range.From.Equal(at(20)) || !short.Range.To.Equal(at(21)) || short.OK != 3000 || short.Planned != 3600 {
		t.Errorf("within an hour: %+v, %v", short, err)
	}
	series, err := s.CoverageSeries(t.Context(), server, history.Range{From: at(19.5), To: at(25)}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var seen []int64
	for _, b := range series.Buckets {
		seen = append(seen, b.OK, b.Skipped)
	}
	if diff := cmp.Diff([]int64{3600, 0, 3000, 50, 0, 3600, 3600, 0, 3600, 0, 3600, 0}, seen); diff != "" {
		t.Errorf("by hour (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, series.Coverage); diff != "" {
		t.Errorf("of the series (-want +got):\n%s", diff)
	}
	// Half hours are not kept.
	if _, err := s.CoverageSeries(t.Context(), server, series.Coverage.Range, 30*time.Minute); !errors.Is(err, history.ErrGone) {
		t.Errorf("by half an hour: %v", err)
	}
	// The server was added half an hour after its first hour had begun.
	first := history.Range{From: server.CreatedAt.Add(-time.Hour), To: server.CreatedAt.Add(90 * time.Minute)}
	seedHour(t, dsn, server.ID, server.CreatedAt.Add(30*time.Minute), 3600, 0, 0, 0)
	if got, err := s.Coverage(t.Context(), server, first); err != nil || got.OK != 3600 || got.Planned != 3600 {
		t.Errorf("from before it was added: %+v, %v", got, err)
	}
}

// Minutes outlive ticks: a range that cuts one is judged in full minutes, for
// what of it was seen in a part of a minute nobody knows any more.
func TestCoverageOutlivesTicks(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn) // ticks are kept since the day before noon's at the earliest
	server.CreatedAt = noon.AddDate(0, 0, -10).Add(17 * time.Second)
	past := noon.AddDate(0, 0, -5)
	for m := range 10 {
		seedMinute(t, dsn, server.ID, past.Add(time.Duration(m)*time.Minute), 60, 58, 0, 2, 0, 0, 0)
	}
	r := history.Range{From: past.Add(30 * time.Second), To: past.Add(5*time.Minute + time.Second)}
	want := history.Coverage{
		Range:   history.Range{From: past, To: past.Add(6 * time.Minute)},
		Planned: 360, OK: 348, Failed: 12, FailedBy: map[sample.Reason]int64{sample.None: 12}, SkippedBy: map[sample.Reason]int64{},
	}
	got, err := s.Coverage(t.Context(), server, r)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	series, err := s.CoverageSeries(t.Context(), server, r, 2*time.Minute)
	if diff := cmp.Diff(want, series.Coverage); diff != "" || err != nil || len(series.Buckets) != 3 {
		t.Fatalf("by two minutes: %d, %v (-want +got):\n%s", len(series.Buckets), err, diff)
	}
	for i, b := range series.Buckets {
		if b.Planned != 120 || b.OK != 116 {
			t.Errorf("by two minutes, %d: %+v", i, b)
		}
	}
}

func TestFleetActivityIsRefusedWhereGone(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	historyServer(t, s, dsn)
	for _, tt := range []struct {
		from time.Time
		step time.Duration
		gone bool
	}{
		{noon.AddDate(0, -2, 0), time.Minute, true},
		{noon.AddDate(0, -2, 0), time.Hour, false},
		{noon.AddDate(-2, 0, 0), time.Hour, true},
		{noon.AddDate(-2, 0, 0), 24 * time.Hour, true},
	} {
		plan, err := history.PlanFleet(history.Range{From: tt.from, To: tt.from.Add(time.Hour)}, tt.step)
		if err != nil {
			t.Fatal(err)
		}
		for created, gone := range map[string]bool{"2024-11-22 11:00Z": false, "2020-01-01": tt.gone} {
			pgtest.Exec(t, dsn, "update pgam.server set created_at = '"+created+"'")
			if _, err := s.FleetActivity(t.Context(), plan); errors.Is(err, history.ErrGone) != gone || !gone && err != nil {
				t.Errorf("from %s by %s, added %s: %v", tt.from, tt.step, created, err)
			}
		}
	}
}

// What found no room in the dictionary of waits is of one class in all answers.
func TestWaitsWithoutRoom(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	pgtest.Exec(t, dsn, fmt.Sprintf("insert into history.wait (server_id, id, state, wait_event_type, wait_event) values (%d, 1, '', '', 'other')", server.ID))
	seedWindow(t, dsn, server.ID, noon, "null", "null") // the other wait is not in the dictionary
	r := history.Range{From: noon, To: noon.Add(15 * time.Second)}
	for _, f := range []history.Filter{nil, {history.ByState: {"", "active"}}} {
		a, err := s.ActivityBy(t.Context(), server, history.ActivityQuestion{Range: r, Step: 15 * time.Second, Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for i, key := range a.Keys {
			if n := a.Samples[i][0]; n > 0 {
				got[key.Label] = n
			}
		}
		want := map[string]int64{"other": 25}
		if f != nil {
			want["other"] = 15 // whether what is not known fits is not known
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", f, diff)
		}
	}
}

// An instant has the same answer before and after its day is packed.
func TestAtOfPacked(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	seedWaits(t, dsn, server.ID)
	seedWindow(t, dsn, server.ID, noon, "null", "null")
	for _, span := range []int{15_000, 60_000, 300_000} {
		pgtest.Exec(t, dsn, fmt.Sprintf("update history.activity_window set span_ms = %d", span))
		for after, seen := range map[time.Duration]bool{14 * time.Second: true, 100 * time.Second: true, 110 * time.Second: false, 4 * time.Minute: false} {
			if got, err := s.At(t.Context(), server, noon.Add(after)); err != nil || got.At.IsZero() == seen {
				t.Errorf("%s after, span %d ms: tick at %s, %v", after, span, got.At, err)
			}
		}
	}
}

// Whoever waits for two is a victim of both.
func TestVictimsOfTwo(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	tick := sample.Tick{
		Planned: noon, Started: noon, Window: noon, Span: 15 * time.Second, Cadence: time.Second,
		Edges: []sample.Edge{{Blocked: 3, Blocker: 1}, {Blocked: 3, Blocker: 2}, {Blocked: 4, Blocker: 3}, {Blocked: 5, Blocker: 2}},
	}
	mustAppend(t, s, sample.Batch{Windows: []sample.Window{sample.NewWindow(server.ID, []sample.Tick{tick})}})
	got, err := s.Blockers(t.Context(), server.ID, history.Range{From: noon, To: noon.Add(time.Minute)}, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, behind := range []int{3, 2} {
		if got[i].Behind != behind || got[i].Victims != behind {
			t.Errorf("blocker %d: %d behind it, %d victims", i, got[i].Behind, got[i].Victims)
		}
	}
}

// Databases that had the same name one after the other come in that order, each
// time: an answer that says the same is the same.
func TestDatabasesOfOneNameAreInOrder(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	var visits []*sample.Visit
	for i := range 4 {
		at, oid := noon.Add(time.Duration(i)*30*time.Minute), uint32(100+i)
		visits = append(visits, &sample.Visit{
			Server:    server.ID,
			Inventory: &sample.Inventory{At: at, Databases: []sample.Database{{OID: oid, Name: "shop", AllowConnect: true}}},
			Databases: []sample.DatabaseStat{{At: at.Add(time.Minute), OID: oid, Backends: known(int64(i + 1)), Epoch: noon}},
		})
	}
	mustAppend(t, s, sample.Batch{Visits: visits})
	plan := seriesPlan(t, noon, noon.Add(2*time.Hour), 15*time.Minute)
	for range 10 {
		got, err := s.DatabaseRates(t.Context(), server, plan)
		if err != nil || len(got.Databases) != 4 {
			t.Fatalf("%d databases, %v", len(got.Databases), err)
		}
		for i, d := range got.Databases {
			if d.MaxConnections[2*i] != int32(i+1) {
				t.Fatalf("database %d: %v", i, d.MaxConnections)
			}
		}
	}
}
