package history

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// diskVisit makes a look at a file system of 100 GiB.
func diskVisit(at time.Time, mount string, free int64) *sample.Visit {
	return &sample.Visit{Disks: &sample.Disks{At: at, Source: target.DiskSSH, FileSystems: []sample.FileSystem{{
		MountPoint: mount, Uses: []string{"data"}, Total: sample.Int{V: 100 << 30, Known: true}, Free: sample.Int{V: free, Known: true},
	}}}}
}

func maxConnections(most string) *sample.Visit {
	return &sample.Visit{Settings: &sample.Settings{At: noon, Set: []sample.Setting{{Name: "max_connections", Value: most}}}}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	busy, silent := s.server.ID, s.add(t, "silent").ID
	pileUp(t, s, busy)
	for hour, free := range []int64{40 << 30, 30 << 30, 20 << 30} {
		at := noon.Add(time.Duration(hour-2) * time.Hour)
		s.append(t, busy, diskVisit(at, "/", free), diskVisit(at, "/wal", 90<<30))
	}
	s.append(t, busy, maxConnections("100"))
	yesterday := looks(noon.AddDate(0, 0, -1), 10)
	s.write(t, busy, yesterday[5:], sample.Entries{}) // two sessions
	s.compact(t, busy, noon.AddDate(0, 0, -1))

	// Amid the pile-up: what comes after that is not written yet.
	pgtest.Exec(t, s.dsn, "delete from history.activity_recent where slot >= '2026-11-22 12:03Z'")
	now := noon.Add(3*time.Minute + 5*time.Second)
	got, err := s.Fleet(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if got[silent] != nil {
		t.Errorf("silent: %+v", got[silent])
	}
	f := got[busy]
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
	if c := f.Coverage; c.OK != 180 || c.Planned != 600 || c.Skipped != 420 || !c.Range.To.Equal(noon.Add(3*time.Minute)) {
		t.Errorf("coverage %+v", c)
	}
	// Before it was added, nothing was promised.
	pgtest.Exec(t, s.dsn, fmt.Sprintf("update pgam.server set created_at = '2026-11-22 11:59:59.5Z' where id = %d", busy))
	got, err = s.Fleet(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if c := got[busy].Coverage; c.OK != 180 || c.Planned != 180 || c.LongestGap != 0 {
		t.Errorf("coverage of a young server %+v", c)
	}
	plan, err := PlanFleet(Range{noon.Add(-time.Minute), noon.Add(4 * time.Minute)}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	minutes, err := s.FleetMinutes(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if m := minutes[busy]; len(minutes) != 1 || m[0] != nil || m[1] == nil || m[3] == nil || math.Abs(*m[3]-*f.Load) > 1e-9 || m[4] != nil {
		t.Errorf("minutes %v", minutes)
	}
	// Compacted it is the same.
	s.compact(t, busy, noon)
	if compacted, err := s.FleetMinutes(t.Context(), plan); err != nil || !cmp.Equal(compacted, minutes) {
		t.Errorf("compacted: %v, %v, want %v", compacted, err, minutes)
	}
	again, err := s.Fleet(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if f, a := got[busy], again[busy]; *a.Load != *f.Load || a.LoadBy != f.LoadBy || !a.LastTick.Equal(*f.LastTick) || *a.Connections != 50 || a.Coverage.OK != 180 || a.Coverage.Planned != 180 {
		t.Errorf("compacted: %+v", a)
	}
	// An hour later all of it is old.
	got, err = s.Fleet(t.Context(), noon.Add(time.Hour))
	if f := got[busy]; err != nil || f.Load != nil || f.LastTick == nil || f.Coverage.OK != 0 || f.Coverage.Skipped != 600 {
		t.Errorf("an hour later: %+v, %v", f, err)
	}
	// What is missing is what was promised: by the newest tick, or else by the
	// server's own interval.
	s.append(t, silent, maxConnections("100"))
	pgtest.Exec(t, s.dsn, "update history.activity set tick_cadence_ms = array_fill(5000, array[cardinality(tick_cadence_ms)])", fmt.Sprintf(
		"update pgam.server set created_at = '2026-11-22 11:00Z', activity_interval_seconds = 20 where id = %d", silent))
	got, err = s.Fleet(t.Context(), noon.Add(time.Hour))
	if b, f := got[busy], got[silent]; err != nil || f == nil || b.Coverage.Skipped != 120 || f.Coverage.Planned != 30 || f.Coverage.Skipped != 30 {
		t.Errorf("by their cadence: %+v, %+v, %v", b, f, err)
	}
}

// Whatever is compacted already, an answer is of all that is stored.
func TestFleetActivity(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	one, other := s.server.ID, s.add(t, "other").ID
	midnight := Floor(noon, 24*time.Hour)
	from := midnight.Add(-2 * time.Hour)
	// Of each server a tick a minute, from two hours before midnight to four after:
	// one session on the CPU, and from the sixth tick on one that waits for a lock.
	ticks := func(from time.Time, n int) []sample.Tick {
		all := looks(from, n)
		for i := range all {
			all[i].Planned = from.Add(time.Duration(i) * time.Minute)
			all[i].Started, all[i].Cadence = all[i].Planned, time.Minute
		}
		return all
	}
	s.write(t, one, ticks(from, 360), sample.Entries{})
	s.write(t, other, ticks(from.Add(time.Hour), 120), sample.Entries{})
	ask := func(what string) {
		t.Helper()
		for _, step := range []time.Duration{time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 24 * time.Hour} {
			plan, err := PlanFleet(Range{from, midnight.Add(5 * time.Hour)}, step)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.FleetActivity(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			for i, start := range got.Times {
				var servers, answered int64
				average := [sample.NumClasses]float64{}
				for id, first := range map[target.ID]time.Time{one: from, other: from.Add(time.Hour)} {
					n, locks := int64(0), int64(0)
					for m := range map[target.ID]int{one: 360, other: 120}[id] {
						if at := first.Add(time.Duration(m) * time.Minute); !at.Before(start) && at.Before(start.Add(step)) {
							n++
							if m >= 5 {
								locks++
							}
						}
					}
					if n > 0 {
						servers++
						average[sample.ClassCPU]++
						average[sample.ClassLock] += float64(locks) / float64(n)
					}
					answered += n
				}
				near := func(class sample.WaitClass) bool { return math.Abs(got.Average[class][i]-average[class]) < 1e-9 }
				if got.Servers[i] != servers || got.Answered[i] != answered || got.Planned[i] != answered || !near(sample.ClassCPU) || !near(sample.ClassLock) {
					t.Errorf("%s by %s, %s: %d servers, %d of %d ticks, %v cpu, %v lock; want %d, %d, %v", what, step, start,
						got.Servers[i], got.Answered[i], got.Planned[i], got.Average[sample.ClassCPU][i], got.Average[sample.ClassLock][i], servers, answered, average)
				}
			}
		}
	}
	ask("nothing compacted")
	for i := range 36 {
		bucket := from.Add(time.Duration(i) * sample.BucketLength)
		if i%7 != 3 {
			s.compact(t, one, bucket)
		}
		if i >= 6 && i < 15 {
			s.compact(t, other, bucket)
		}
		if i%9 == 0 {
			ask(fmt.Sprint("after bucket ", i))
		}
	}
	ask("some compacted")
	if t.Failed() {
		return
	}
	s.write(t, one, ticks(from.Add(30*time.Second), 5), sample.Entries{}) // late: not visible yet
	ask("late")
}

func TestFleetActivityIsRefusedWhereGone(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	s.keepFrom(t, "activity_minute", "minute", "2026-11-01")
	s.keepFrom(t, "activity_total", "bucket", "2026-01-01")
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
		plan, err := PlanFleet(Range{tt.from, tt.from.Add(time.Hour)}, tt.step)
		if err != nil {
			t.Fatal(err)
		}
		for created, gone := range map[string]bool{"2026-11-22 11:00Z": false, "2020-01-01": tt.gone} {
			pgtest.Exec(t, s.dsn, "update pgam.server set created_at = '"+created+"'")
			if _, err := s.FleetActivity(t.Context(), plan); errors.Is(err, ErrGone) != gone || !gone && err != nil {
				t.Errorf("from %s by %s, added %s: %v", tt.from, tt.step, created, err)
			}
		}
	}
}
