package history

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

func TestCoverageJudges(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	now := pgtest.Value[time.Time](t, s.dsn, "select now()").UTC()

	// Before the server was added nothing was promised.
	before := Range{noon.Add(-3 * time.Hour), noon.Add(-2 * time.Hour)}
	if c, err := s.Coverage(t.Context(), s.server, before); err != nil || c.Planned != 0 || c.Skipped != 0 {
		t.Errorf("before it was added: %+v, %v", c, err)
	}
	// Half of it is since then.
	half := Range{noon.Add(-70 * time.Minute), noon.Add(-50 * time.Minute)}
	if c, err := s.Coverage(t.Context(), s.server, half); err != nil || c.Planned != 600 || c.Skipped != 600 {
		t.Errorf("when it was added: %+v, %v", c, err)
	}
	// A server of this second has missed nothing yet.
	fresh := s.server
	fresh.CreatedAt = now
	if c, err := s.Coverage(t.Context(), fresh, Range{now.Add(-time.Minute), now.Add(time.Minute)}); err != nil || c.Planned != 0 {
		t.Errorf("just added: %+v, %v", c, err)
	}
	// While ticks come in, the time after the newest is not judged.
	newest := now.Truncate(15 * time.Second).Add(-15 * time.Second)
	s.write(t, s.server.ID, looks(newest, 10), sample.Entries{})
	c, err := s.Coverage(t.Context(), s.server, Range{newest, now.Add(time.Hour)})
	if err != nil || c.Planned != 10 || c.OK != 10 || !c.Range.To.Equal(newest.Add(10*time.Second)) {
		t.Errorf("while a collector runs: %+v, %v", c, err)
	}
	// A cadence of its own is what is missing.
	slow := s.server
	slow.Intervals.Activity = 10 * time.Second
	if c, err := s.Coverage(t.Context(), slow, Range{noon, noon.Add(time.Hour)}); err != nil || c.Planned != 360 {
		t.Errorf("slow cadence: %+v, %v", c, err)
	}
}

// What was promised by a tick is missing until the next one comes, wherever the
// range is cut.
func TestCoverageOf(t *testing.T) {
	t.Parallel()
	part := func(from, n int, outcome sample.Outcome) sample.Summary {
		ticks, rows := looks(noon.Add(time.Duration(from)*time.Second), n), []*sample.Row{{Bucket: noon}}
		for i := range ticks {
			if ticks[i].Outcome = outcome; outcome != sample.OK {
				ticks[i].Reason = sample.Timeout
			}
			r := sample.NewRow(1, &ticks[i])
			rows = append(rows, &r)
		}
		row := sample.Merge(rows...)
		return row.Summary(noon, noon.Add(time.Hour))
	}
	at := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
	type reasons = map[sample.Reason]int64
	before := look{at(-0.4), time.Second}
	for _, tt := range []struct {
		name   string
		stored []sample.Summary
		want   Coverage
	}{
		{"nothing ran", nil, Coverage{Planned: 60, Skipped: 60, SkippedBy: reasons{sample.NotRunning: 60}, LongestGap: time.Minute}},
		{"every tick", []sample.Summary{part(0, 60, sample.OK)}, Coverage{Planned: 60, OK: 60}},
		{
			"a hole",
			[]sample.Summary{part(0, 20, sample.OK), part(30, 30, sample.OK)},
			Coverage{Planned: 60, OK: 50, Skipped: 10, SkippedBy: reasons{sample.NotRunning: 10}, LongestGap: 11 * time.Second},
		},
		{
			"failures, and the end is missing",
			[]sample.Summary{part(0, 20, sample.OK), part(20, 10, sample.Failed), part(30, 10, sample.Degraded)},
			Coverage{
				Planned: 60, OK: 20, Degraded: 10, Failed: 10, Skipped: 20, FailedBy: reasons{sample.Timeout: 10}, SkippedBy: reasons{sample.NotRunning: 20},
				LongestGap: 20800 * time.Millisecond,
			},
		},
		{
			"the beginning is missing",
			[]sample.Summary{part(40, 20, sample.OK)},
			Coverage{Planned: 60, OK: 20, Skipped: 40, SkippedBy: reasons{sample.NotRunning: 40}, LongestGap: 40200 * time.Millisecond},
		},
		{
			"nothing was answered",
			[]sample.Summary{part(0, 30, sample.Failed)},
			Coverage{Planned: 60, Failed: 30, Skipped: 30, FailedBy: reasons{sample.Timeout: 30}, SkippedBy: reasons{sample.NotRunning: 30}, LongestGap: time.Minute},
		},
	} {
		tt.want.Range = Range{noon, at(60)}
		for _, by := range []*map[sample.Reason]int64{&tt.want.FailedBy, &tt.want.SkippedBy} {
			if *by == nil {
				*by = reasons{}
			}
		}
		if diff := cmp.Diff(tt.want, coverageOf(tt.want.Range, before, tt.stored)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// keepFrom leaves of a table what is younger, as partitions that are dropped do.
func (s *stats) keepFrom(t *testing.T, table, key, from string) {
	t.Helper()
	pgtest.Exec(t, s.dsn, fmt.Sprintf(`create table history.kept (like history.%[1]s);
insert into history.kept table history.%[1]s;
drop table history.%[1]s_all;
create table history.%[1]s_p partition of history.%[1]s for values from ('%[3]s') to ('2030-01-01');
delete from history.kept where %[2]s < '%[3]s';
insert into history.%[1]s table history.kept;
drop table history.kept`, table, key, from))
	s.partitions.last.Store(nil)
}

// Minutes outlive ticks, and hours minutes: a range is judged in whole ones then,
// with all that is known of them.
func TestCoverageOutlivesTicks(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	s.server.CreatedAt = noon.Add(-2*time.Hour + 30*time.Minute)
	var want []Coverage
	r := Range{noon.Add(-90 * time.Minute), noon.Add(2 * time.Hour)}
	parts := []Range{{noon, noon.Add(time.Hour)}, {noon.Add(-90 * time.Minute), noon.Add(-time.Hour)}, r}
	ticks := looks(r.From.Add(10*time.Second), 10_000)
	for i := range ticks {
		switch {
		case i%1000 < 13:
			ticks[i].Outcome, ticks[i].Reason, ticks[i].Sessions, ticks[i].Backends = sample.Failed, sample.Refused, nil, sample.Unset
		case i > 4000 && i < 4100: // nobody looked
			ticks[i] = ticks[0]
		}
	}
	s.write(t, s.server.ID, ticks, sample.Entries{})
	for at := r.From; at.Before(ticks[len(ticks)-1].Planned); at = at.Add(sample.BucketLength) {
		s.compact(t, s.server.ID, at)
	}
	for _, part := range parts {
		c, err := s.Coverage(t.Context(), s.server, part)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, c)
	}
	if c := want[2]; c.Failed != 130 || c.Planned != 3.5*3600 || c.SkippedBy[sample.NotRunning] < 99+10 {
		t.Fatalf("all that is kept: %+v", c)
	}
	check := func(what string, from, to time.Duration) {
		t.Helper()
		for i, part := range parts {
			asked := part
			if part.From.Minute() == 0 {
				asked = Range{part.From.Add(from), part.To.Add(-to)}
			}
			got, err := s.Coverage(t.Context(), s.server, asked)
			if diff := cmp.Diff(want[i], got); diff != "" || err != nil {
				t.Errorf("%s, part %d: %v (-want +got):\n%s", what, i, err, diff)
			}
		}
	}
	s.keepFrom(t, "activity", "bucket", "2026-11-25")
	check("without ticks", 30*time.Second, 59*time.Second)
	series, err := s.CoverageSeries(t.Context(), s.server, Range{noon.Add(30 * time.Second), noon.Add(5*time.Minute + time.Second)}, 2*time.Minute)
	if err != nil || len(series.Buckets) != 3 || !series.Coverage.Range.From.Equal(noon) || !series.Coverage.Range.To.Equal(noon.Add(6*time.Minute)) {
		t.Errorf("by two minutes: %+v, %v", series, err)
	}
	s.keepFrom(t, "activity_minute", "minute", "2026-11-25")
	parts[0], want[0] = parts[2], want[2]
	check("without minutes", 29*time.Minute, 31*time.Minute)
	got, err := s.Coverage(t.Context(), s.server, Range{noon.Add(12 * time.Minute), noon.Add(24 * time.Minute)})
	if err != nil || !got.Range.From.Equal(noon) || !got.Range.To.Equal(noon.Add(time.Hour)) {
		t.Errorf("within an hour: %+v, %v", got, err)
	}
	if _, err := s.CoverageSeries(t.Context(), s.server, r, 30*time.Minute); !errors.Is(err, ErrGone) {
		t.Errorf("by half an hour: %v", err)
	}
	if _, err := s.ActivityBy(t.Context(), s.server, ActivityQuestion{Range: r, Step: time.Minute}); !errors.Is(err, ErrGone) {
		t.Errorf("activity by minute: %v", err)
	}
	s.keepFrom(t, "activity_total", "bucket", "2026-11-25")
	if _, err := s.Coverage(t.Context(), s.server, r); !errors.Is(err, ErrGone) {
		t.Errorf("without hours: %v", err)
	}
	// Of a server that was added later nothing can be gone.
	s.server.CreatedAt = noon.AddDate(0, 0, 10)
	if c, err := s.Coverage(t.Context(), s.server, r); err != nil || c.Planned != 0 {
		t.Errorf("added later: %+v, %v", c, err)
	}
}

// A wait that no dictionary has is of one class in all answers: that of its samples.
func TestForgottenWaits(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	s.write(t, s.server.ID, looks(noon, 15), sample.Entries{Waits: []sample.WaitEntry{{Key: 1, State: "active", Type: sample.CPU}}})
	r := Range{noon, noon.Add(15 * time.Second)}
	for _, f := range []Filter{nil, {ByState: {Any: []string{"", "active"}}}} {
		a, err := s.ActivityBy(t.Context(), s.server, ActivityQuestion{Range: r, Step: 15 * time.Second, Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for i, key := range a.Keys {
			if n := a.Samples[i][0]; n > 0 {
				got[key.Label] = n
			}
		}
		want := map[string]int64{"cpu": 15, "lock": 10}
		if f != nil {
			delete(want, "lock") // whether what is not known fits is not known
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", f, diff)
		}
	}
}
