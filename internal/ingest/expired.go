package ingest

import (
	"context"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

// shortestKept is the shortest retention that there may be: nothing younger has to
// be looked at.
const shortestKept = time.Hour

// Expired counts the ticks that Append left out, because what is of their time is
// not kept any more: those of a journal that waited for longer than samples are
// kept.
func (w *Writer) Expired() int64 { return w.expired.Load() }

// unexpired leaves out of visits what is older than it is kept, by stats_db's
// clock: it would make a partition anew that retention has dropped, and rollups of
// what is left of a day.
func (w *Writer) unexpired(ctx context.Context, visits []*sample.Visit) ([]*sample.Visit, error) {
	old := false
	for _, v := range visits {
		old = old || v.Tick != nil && time.Since(v.Tick.Planned) > shortestKept || v.Look != nil && time.Since(v.Look.Planned) > shortestKept
	}
	if !old {
		return visits, nil
	}
	kept, err := w.db.Retention(ctx)
	if err != nil || kept[statsdb.KeptActivity] <= 0 { // for ever, or nobody said yet
		return visits, err
	}
	var now time.Time
	if err := w.pool.QueryRow(ctx, "/* pgam:flush */ select now()").Scan(&now); err != nil {
		return nil, err
	}
	limit := now.Add(-kept[statsdb.KeptActivity])
	left := make([]*sample.Visit, 0, len(visits))
	for _, v := range visits {
		tick, look := v.Tick != nil && v.Tick.Planned.Before(limit), v.Look != nil && v.Look.Planned.Before(limit)
		if tick || look {
			rest := *v
			if tick {
				w.expired.Add(1)
				rest.Tick, rest.Entries = nil, sample.Entries{}
			}
			if look {
				rest.Look, rest.Databases = nil, nil
			}
			v = &rest
		}
		left = append(left, v)
	}
	return left, nil
}
