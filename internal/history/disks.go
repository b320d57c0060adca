package history

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// diskStands is how long a file system is shown after it was last seen.
	diskStands = 7 * 24 * time.Hour
	// trendOver is what a trend is made of, trendLeast the least that makes one.
	trendOver  = 24 * time.Hour
	trendLeast = time.Hour
)

// DisksNow gives the newest that is known of each file system of a server's host,
// by mount point. What was not seen for a week is left out.
func (r *Reader) DisksNow(ctx context.Context, server target.ID) ([]Disk, error) {
	args := pgx.NamedArgs{"server_id": server, "since": time.Now().Add(-diskStands), "over": trendOver, "least": trendLeast}
	rows, err := r.pool.Query(ctx, sql("disks_now"), args)
	if err != nil {
		return nil, fmt.Errorf("read disks: %w", statsdb.Classify(err))
	}
	disks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Disk, err error) {
		err = row.Scan(&d.MountPoint, &d.Device, &d.Source, &d.Uses, &d.At, &d.Total, &d.Free, &d.Inodes, &d.InodesFree, &d.Trend)
		d.At = d.At.UTC()
		if d.Trend != nil {
			d.FullIn = fullIn(d.Free, *d.Trend)
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("read disks: %w", statsdb.Classify(err))
	}
	return disks, nil
}

// fullIn says when nothing is left, if free bytes go on changing like this by
// the second. Centuries are never.
func fullIn(free *int64, slope float64) *time.Duration {
	if free == nil || slope >= 0 {
		return nil
	}
	seconds := float64(*free) / -slope
	if seconds >= math.MaxInt64/float64(time.Second) {
		return nil
	}
	return new(time.Duration(seconds * float64(time.Second)))
}

// DiskTimeline gives how full the file systems of a server's host were: every
// stored sample to 2 days, then by hour, four hours or day as for databases, over a
// range that is widened to whole hours. The error wraps ErrGone where the range
// begins before what is kept.
func (r *Reader) DiskTimeline(ctx context.Context, t target.Target, span Range) (DiskTimeline, error) {
	table := "disk_usage"
	if AggregationFor(span).Step() > 0 {
		table = "disk_rollup"
	}
	if err := r.stillKept(ctx, t, table, "samples of disks", span); err != nil {
		return DiskTimeline{}, statsdb.Classify(err)
	}
	return r.diskTimeline(ctx, t.ID, span)
}

// diskTimeline is DiskTimeline of whatever is kept.
func (r *Reader) diskTimeline(ctx context.Context, server target.ID, span Range) (DiskTimeline, error) {
	line := DiskTimeline{Range: span, Step: AggregationFor(span).Step()}
	name, args := "disk_points", pgx.NamedArgs{"server_id": server}
	if line.Step > 0 {
		line.Range = span.Widen(time.Hour)
		name, args["step"] = "disk_hours", line.Step
	}
	args["from"], args["to"] = line.Range.From, line.Range.To
	rows, err := r.pool.Query(ctx, sql(name), args)
	if err != nil {
		return line, fmt.Errorf("read disk timeline: %w", statsdb.Classify(err))
	}
	var (
		series DiskSeries
		device *string
		p      DiskPoint
	)
	_, err = pgx.ForEachRow(rows, []any{&series.MountPoint, &device, &series.Uses, &p.At, &p.Total, &p.Free, &p.MinFree, &p.InodesFree}, func() error {
		if n := len(line.Disks); n == 0 || line.Disks[n-1].MountPoint != series.MountPoint {
			series.Device = ""
			if device != nil {
				series.Device = *device
			}
			line.Disks = append(line.Disks, series)
		}
		disk := &line.Disks[len(line.Disks)-1]
		p.At = p.At.UTC()
		disk.Points = append(disk.Points, p)
		series.Uses = nil
		return nil
	})
	if err != nil {
		return line, fmt.Errorf("read disk timeline: %w", statsdb.Classify(err))
	}
	return line, nil
}
