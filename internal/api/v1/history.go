package v1

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
)

// defaultRange is what is shown where no range is given.
const defaultRange = time.Hour

// RangeQuery is the range of a question about the past.
type RangeQuery struct {
	From string `query:"from" doc:"RFC 3339, included; default an hour before to." example:"2026-11-22T03:00:00Z"`
	To   string `query:"to" doc:"RFC 3339, left out; default now." example:"2026-11-22T04:00:00Z"`
}

func (q RangeQuery) parse(now time.Time) (history.Range, error) {
	to, err1 := parseInstant("to", q.To, now)
	from, err2 := parseInstant("from", q.From, to.Add(-defaultRange))
	if err := errors.Join(err1, err2); err != nil {
		return history.Range{}, err
	}
	return history.NewRange(from, to)
}

// parseInstant reads RFC 3339, and a date for its midnight. A plus that came
// as a space, because it was not escaped, is a plus.
func parseInstant(field, text string, unset time.Time) (time.Time, error) {
	if text == "" {
		return utc(unset), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		t, err := time.Parse(layout, strings.Replace(text, " ", "+", 1))
		if err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return utc(t), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %s is not an instant: write 2026-11-22T03:12:00Z, or with an offset such as %%2B03:00", history.ErrInvalid, field)
}

// parseStep reads a duration with Go's units and days; empty is zero.
func parseStep(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		if n, err := strconv.ParseUint(days, 10, 12); err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	step, err := time.ParseDuration(text)
	if err != nil || step <= 0 {
		return 0, fmt.Errorf("%w: step is not a duration: write 10s, 5m, 1h or 1d", history.ErrInvalid)
	}
	return step, nil
}

type coverageRow struct {
	From              time.Time        `json:"from" doc:"What was judged: not before the server was added."`
	To                time.Time        `json:"to" doc:"Not after what is stored while a collector runs."`
	Planned           int64            `json:"planned" doc:"Ticks that the cadence promised: ok + degraded + failed + skipped."`
	OK                int64            `json:"ok"`
	Degraded          int64            `json:"degraded" doc:"The sessions were read, another answer was not."`
	Failed            int64            `json:"failed"`
	Skipped           int64            `json:"skipped"`
	FailedBy          map[string]int64 `json:"failed_by" doc:"Failed ticks by reason."`
	SkippedBy         map[string]int64 `json:"skipped_by" doc:"Skipped ticks by reason; not_running: no collector ran."`
	LongestGapSeconds float64          `json:"longest_gap_seconds" doc:"Longest time without an answered tick; 0: none is missing."`
}

func coverage(c history.Coverage) coverageRow {
	return coverageRow{
		From: utc(c.Range.From), To: utc(c.Range.To),
		Planned: c.Planned, OK: c.OK, Degraded: c.Degraded, Failed: c.Failed, Skipped: c.Skipped,
		FailedBy: byReason(c.FailedBy), SkippedBy: byReason(c.SkippedBy), LongestGapSeconds: c.LongestGap.Seconds(),
	}
}

func byReason(counts map[sample.Reason]int64) map[string]int64 {
	named := make(map[string]int64, len(counts))
	for reason, n := range counts {
		name := reason.String()
		if reason == sample.None {
			name = "unknown" // no longer kept
		}
		named[name] += n
	}
	return named
}
