package store

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestFleet(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	busy := historyServer(t, s, dsn)
	silent, err := catalogOf(t, s).CreateServer(t.Context(), exampleServer("silent"))
	if err != nil {
		t.Fatal(err)
	}
	partitionsAround(t, s, noon.AddDate(0, 0, -1))
	pileUp(t, s, busy.ID)
	for hour, free := range []int64{40 << 30, 30 << 30, 20 << 30} {
		seedDisks(t, s, busy.ID, noon.Add(time.Duration(hour-2)*time.Hour), mounted("/", free), mounted("/wal", 90<<30))
	}
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: busy.ID, Settings: &sample.Settings{At: noon, Set: []sample.Setting{{Name: "max_connections", Value: "100"}}}}}})
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.activity_total (server_id, step_seconds, bucket, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped, samples,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
values (%d, 3600, '2024-11-21 12:00Z', 1000, 3600, 3500, 100, 0, 0, 7200, 7200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3)`, busy.ID))

	// Amid the pile-up: its windows after that are not written yet.
	pgtest.Exec(t, dsn, "delete from history.activity_window where t0 >= '2024-11-22 12:03Z'", "delete from history.activity_minute where minute >= '2024-11-22 12:03Z'")
	got, err := s.Fleet(t.Context(), noon.Add(3*time.Minute+5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if got[silent.ID] != nil {
		t.Errorf("silent: %+v", got[silent.ID])
	}
	f := got[busy.ID]
	if f == nil || f.LastTick == nil || !f.LastTick.Equal(noon.Add(179*time.Second+200*time.Millisecond)) || f.LastOutcome != sample.OK || f.Burst {
		t.Fatalf("busy: %+v", f)
	}
	// The minute from 12:02: the holder, 6 to 11 that wait for it, and 4 others.
	if want := 1 + 8.5 + 4; f.Load == nil || math.Abs(*f.Load-want) > 1e-9 || f.LoadBy[sample.ClassIdleInTransaction] != 1 || !f.LoadAt.Equal(noon.Add(2*time.Minute)) {
		t.Errorf("load %v by %v", f.Load, f.LoadBy)
	}
	if *f.Blocked != 11+4 || *f.OldestXact != 210*time.Second+200*time.Millisecond || *f.OldestXmin != 6000 || *f.Connections != 50 || *f.MaxConnections != 100 {
		t.Errorf("blocked %d, xact %s, xmin %d, %d of %d connections", *f.Blocked, f.OldestXact, *f.OldestXmin, *f.Connections, *f.MaxConnections)
	}
	if f.LoadYesterday == nil || *f.LoadYesterday != 2 {
		t.Errorf("yesterday %v", f.LoadYesterday)
	}
	if d := f.LeastFree; d == nil || d.MountPoint != "/" || d.Free != 20<<30 || math.Abs(d.Part()-0.2) > 1e-9 || f.FullIn == nil || (*f.FullIn-2*time.Hour).Abs() > time.Second {
		t.Errorf("disk %+v, full in %v", d, f.FullIn)
	}
	if c := f.Coverage; c.OK != 120 || c.Planned != 600 || c.Skipped != 480 {
		t.Errorf("coverage %+v", c)
	}
	// Before it was added, nothing was promised.
	pgtest.Exec(t, dsn, fmt.Sprintf("update pgam.server set created_at = '2024-11-22 12:00:30Z' where id = %d", busy.ID))
	got, err = s.Fleet(t.Context(), noon.Add(3*time.Minute+5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if c := got[busy.ID].Coverage; !c.Range.From.Equal(noon) || c.OK != 120 || c.Planned != 120 || c.LongestGap != 0 {
		t.Errorf("coverage of a young server %+v", c)
	}
	// An hour later all of it is old.
	got, err = s.Fleet(t.Context(), noon.Add(time.Hour))
	if f := got[busy.ID]; err != nil || f.Load != nil || f.LastTick == nil || f.Coverage.OK != 0 || f.Coverage.Skipped != 600 {
		t.Errorf("an hour later: %+v, %v", f, err)
	}
	// What is missing is what was promised: by the newest windows, or else by the
	// server's own interval.
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: silent.ID, Settings: &sample.Settings{At: noon, Set: []sample.Setting{{Name: "max_connections", Value: "100"}}}}}})
	pgtest.Exec(t, dsn, "update history.activity_window set cadence_ms = 5000", fmt.Sprintf(
		"update pgam.server set created_at = '2024-11-22 11:00Z', activity_interval_seconds = 20 where id = %d", silent.ID))
	got, err = s.Fleet(t.Context(), noon.Add(time.Hour))
	if b, f := got[busy.ID], got[silent.ID]; err != nil || f == nil || b.Coverage.Skipped != 120 || f.Coverage.Planned != 30 || f.Coverage.Skipped != 30 {
		t.Errorf("by their cadence: %+v, %+v, %v", b, f, err)
	}
}

// seedTotal stores a row of activity_total with one class.
func seedTotal(t *testing.T, dsn string, server target.ID, step int, bucket time.Time, ticks, cpu int) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.activity_total (server_id, step_seconds, bucket, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped, samples,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions)
values (%d, %d, '%s', 1000, %d, %d, 0, 0, 0, %d, %d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3)`, server, step, bucket.Format(time.RFC3339), ticks, ticks, cpu, cpu))
}

// Whatever is summed up already, an answer is of all that is stored.
func TestFleetActivity(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	one := historyServer(t, s, dsn)
	other, err := catalogOf(t, s).CreateServer(t.Context(), exampleServer("other"))
	if err != nil {
		t.Fatal(err)
	}
	midnight := history.Floor(noon, 24*time.Hour)
	partitionsAround(t, s, midnight.AddDate(0, 0, -1))
	// Yesterday is summed up, but for one hour of the other server of which more
	// has come. Today has its first two hours as sums, and minutes.
	yesterday := midnight.AddDate(0, 0, -1)
	for _, id := range []target.ID{one.ID, other.ID} {
		seedTotal(t, dsn, id, 86400, yesterday, 86400, 86400*2)
		for h := range 24 {
			seedTotal(t, dsn, id, 3600, yesterday.Add(time.Duration(h)*time.Hour), 3600, 7200)
		}
		for h := range 2 {
			seedTotal(t, dsn, id, 3600, midnight.Add(time.Duration(h)*time.Hour), 3600, 3600)
		}
	}
	for m := range 60 {
		seedMinute(t, dsn, other.ID, yesterday.Add(5*time.Hour+time.Duration(m)*time.Minute), 60, 60, 0, 0, 0, 26*120, 0)
		seedMinute(t, dsn, one.ID, midnight.Add(2*time.Hour+time.Duration(m)*time.Minute), 60, 60, 0, 0, 0, 60*4, 60)
	}
	due := func(id target.ID, step int, bucket time.Time) {
		pgtest.Exec(t, dsn, fmt.Sprintf("insert into history.rollup_due values (%d, %d, '%s', 1)", id, step, bucket.Format(time.RFC3339)))
	}
	due(other.ID, 600, yesterday.Add(5*time.Hour+10*time.Minute))
	due(one.ID, 600, midnight.Add(2*time.Hour+50*time.Minute))
	due(one.ID, 86400, midnight)
	due(other.ID, 86400, midnight)

	ask := func(from, to time.Time, step time.Duration) history.FleetActivity {
		t.Helper()
		plan, err := history.PlanFleet(history.Range{From: from, To: to}, step)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.FleetActivity(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	days := ask(yesterday, midnight.AddDate(0, 0, 1), 24*time.Hour)
	// The other's day: 23 hours of 2 sessions and one of 52.
	if cpu := days.Average[sample.ClassCPU]; len(cpu) != 2 || !near(cpu[0], 2+(23*2+52)/24.) || !near(cpu[1], 2+1) || days.Servers[0] != 2 {
		t.Errorf("days: %v of %v", cpu, days.Servers)
	}
	hours := ask(yesterday, midnight.Add(4*time.Hour), time.Hour)
	cpu := hours.Average[sample.ClassCPU]
	if !near(cpu[4], 4) || !near(cpu[5], 2+52) || !near(cpu[24], 2) || !near(cpu[26], 4) || hours.Servers[26] != 1 || hours.Servers[27] != 0 || hours.Answered[5] != 7200 {
		t.Errorf("hours: %v of %v", cpu, hours.Servers)
	}
	if locks := hours.Average[sample.ClassLock]; !near(locks[26], 1) {
		t.Errorf("locks: %v", locks)
	}
	minutes := ask(midnight.Add(2*time.Hour), midnight.Add(3*time.Hour), 30*time.Minute)
	if cpu := minutes.Average[sample.ClassCPU]; len(cpu) != 2 || !near(cpu[0], 4) || minutes.Plan.Grain != history.GrainMinute {
		t.Errorf("minutes: %v", cpu)
	}
}
