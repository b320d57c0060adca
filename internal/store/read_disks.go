package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/history"
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

// The newest sample of a file system is not older than the file system itself
// was seen. The bounds without columns are for PostgreSQL to leave out
// partitions before it begins.
const disksNowSQL = `/* pgam:disks_now */
select f.mount_point, f.device, f.source, f.uses, u.sampled_at, u.total_bytes, u.free_bytes, u.inodes_total, u.inodes_free, t.slope
  from history.file_system f
 cross join lateral (
        select n.sampled_at, n.total_bytes, n.free_bytes, n.inodes_total, n.inodes_free
          from history.disk_usage n
         where n.server_id = $1
           and n.mount_point = f.mount_point
           and n.sampled_at >= f.last_seen_at
           and n.sampled_at > $2
         order by n.sampled_at desc
         limit 1) u
 cross join lateral (
        select case when max(n.sampled_at) - min(n.sampled_at) >= $4::interval
                    then regr_slope(n.free_bytes, extract(epoch from n.sampled_at - u.sampled_at)::double precision)
               end as slope
          from history.disk_usage n
         where n.server_id = $1
           and n.mount_point = f.mount_point
           and n.sampled_at > $2 - $3::interval
           and n.sampled_at > u.sampled_at - $3::interval
           and n.sampled_at <= u.sampled_at
           and n.free_bytes is not null) t
 where f.server_id = $1
   and f.last_seen_at > $2
 order by f.mount_point collate "C"`

// DisksNow gives the newest that is known of each file system of a server's
// host, by mount point. What was not seen for a week is left out.
func (s *Store) DisksNow(ctx context.Context, id target.ID) ([]history.Disk, error) {
	disks := []history.Disk{}
	err := s.ask(ctx, question{
		name: "pgam_disks_now",
		sql:  disksNowSQL,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(time.Now().Add(-diskStands))
			p.interval(trendOver)
			p.interval(trendLeast)
		},
		row: func(v values) {
			d := history.Disk{
				MountPoint: v.text(0), Device: v.text(1), Source: v.text(2), Uses: v.texts(3), At: v.time(4),
				Total: v.int8OrNil(5), Free: v.int8OrNil(6), Inodes: v.int8OrNil(7), InodesFree: v.int8OrNil(8),
			}
			if !v.null(9) {
				slope := v.float8(9)
				d.Trend, d.FullIn = &slope, fullIn(d.Free, slope)
			}
			disks = append(disks, d)
		},
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
	d := time.Duration(seconds * float64(time.Second))
	return &d
}

const fileSystemsSQL = `/* pgam:disks */
select mount_point, device, uses
  from history.file_system
 where server_id = $1`

const diskPointsSQL = `/* pgam:disks */
select mount_point, sampled_at, total_bytes, free_bytes, free_bytes, inodes_free
  from history.disk_usage
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3`

const diskHoursSQL = `/* pgam:disks */
select mount_point, bucket, total_bytes, free_bytes, free_bytes_min, inodes_free
  from history.disk_rollup
 where server_id = $1
   and bucket >= $2
   and bucket < $3`

// DiskTimeline gives how full the file systems of a server's host were: every
// stored sample to 2 days, then by hour, four hours or day as for databases,
// over a range that is widened to whole hours. The error wraps history.ErrGone
// where the range begins before what is kept.
func (s *Store) DiskTimeline(ctx context.Context, t target.Target, r history.Range) (history.DiskTimeline, error) {
	table := "disk_usage"
	if history.AggregationFor(r).Step() > 0 {
		table = "disk_rollup"
	}
	if err := s.stillKept(ctx, t, table, "samples of disks", r); err != nil {
		return history.DiskTimeline{}, err
	}
	return s.diskTimeline(ctx, t.ID, r)
}

// diskTimeline is DiskTimeline of whatever is kept.
func (s *Store) diskTimeline(ctx context.Context, id target.ID, r history.Range) (history.DiskTimeline, error) {
	line := history.DiskTimeline{Range: r, Step: history.AggregationFor(r).Step()}
	known := make(map[string]history.DiskSeries)
	points := make(map[string][]history.DiskPoint)
	asked := question{
		name: "pgam_disk_points",
		sql:  diskPointsSQL,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(line.Range.From)
			p.time(line.Range.To)
		},
		row: func(v values) {
			mount := v.text(0)
			points[mount] = append(points[mount], history.DiskPoint{
				At: v.time(1), Total: v.int8OrNil(2), Free: v.int8OrNil(3), MinFree: v.int8OrNil(4), InodesFree: v.int8OrNil(5),
			})
		},
	}
	if line.Step > 0 {
		line.Range = r.Widen(time.Hour)
		asked.name, asked.sql = "pgam_disk_hours", diskHoursSQL
	}
	err := s.ask(ctx, question{
		name: "pgam_file_systems",
		sql:  fileSystemsSQL,
		args: func(p *params) { p.int8(int64(id)) },
		row: func(v values) {
			known[v.text(0)] = history.DiskSeries{Device: v.text(1), Uses: v.texts(2)}
		},
	}, asked)
	if err != nil {
		return line, fmt.Errorf("read disk timeline: %w", statsdb.Classify(err))
	}
	for mount, list := range points {
		series := known[mount]
		slices.SortFunc(list, func(a, b history.DiskPoint) int { return a.At.Compare(b.At) })
		series.MountPoint, series.Points = mount, inBuckets(list, line.Step)
		line.Disks = append(line.Disks, series)
	}
	slices.SortFunc(line.Disks, func(a, b history.DiskSeries) int { return strings.Compare(a.MountPoint, b.MountPoint) })
	return line, nil
}

// inBuckets sums up points, which are in the order of time, by step; zero leaves
// them as they are.
func inBuckets(points []history.DiskPoint, step time.Duration) []history.DiskPoint {
	if step == 0 {
		return points
	}
	kept := points[:0]
	for _, p := range points {
		p.At = history.Floor(p.At, step)
		n := len(kept)
		if n == 0 || !kept[n-1].At.Equal(p.At) {
			kept = append(kept, p)
			continue
		}
		if least := kept[n-1].MinFree; p.MinFree == nil || (least != nil && *least < *p.MinFree) {
			p.MinFree = least
		}
		kept[n-1] = p
	}
	return kept
}
