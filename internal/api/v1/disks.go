package v1

import (
	"context"
	"errors"
	"time"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
)

type fileSystemRow struct {
	MountPoint          string    `json:"mount_point"`
	Device              *string   `json:"device"`
	Uses                []string  `json:"uses" nullable:"false" doc:"What of PostgreSQL it holds: data, wal, tablespace:NAME."`
	SampledAt           time.Time `json:"sampled_at"`
	TotalBytes          *int64    `json:"total_bytes"`
	FreeBytes           *int64    `json:"free_bytes" doc:"What an unprivileged process can use."`
	InodesTotal         *int64    `json:"inodes_total" doc:"Null: unknown, or without a fixed number."`
	InodesFree          *int64    `json:"inodes_free"`
	TrendBytesPerSecond *float64  `json:"trend_bytes_per_second" doc:"How free_bytes changes, over the last day; negative: it fills up; null: too little is known."`
	FullInHours         *float64  `json:"full_in_hours" doc:"Until nothing is free, if the trend goes on; null: it does not shrink, or no trend is known."`
}

type missingRow struct {
	Use    string `json:"use"`
	Path   string `json:"path"`
	Reason string `json:"reason" doc:"Class of what went wrong."`
}

type disksBody struct {
	Server      string          `json:"server"`
	Source      string          `json:"source" enum:"none,ssh,local,import" doc:"How it was seen; import: by another program whose data was taken over; none: nothing is looked at."`
	Live        bool            `json:"live" doc:"Seen now, or half a minute ago at most; false: the newest sample of history, see problem."`
	SampledAt   *time.Time      `json:"sampled_at" doc:"Of the newest of file_systems; null: nothing is known."`
	AgeSeconds  *float64        `json:"age_seconds"`
	FileSystems []fileSystemRow `json:"file_systems" nullable:"false" doc:"By mount point."`
	Missing     []missingRow    `json:"missing" nullable:"false" doc:"Locations whose file system could not be looked at."`
	Problem     *string         `json:"problem" doc:"Why the host could not be looked at now and what to do; null: it could."`
}

func (r routes) disks(ctx context.Context, in *ServerPath) (*output[disksBody], error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	seen := r.Live.Disks(ctx, t)
	sampled, err := r.NewestDisks(ctx, t.ID)
	switch {
	case err == nil:
	case len(seen.FileSystems) == 0:
		return nil, err
	default:
		r.Log.DebugContext(ctx, "samples of disks were not read", "server", t.Name, "error", err)
	}
	body := disksBody{
		Server: t.Name, Source: string(seen.Source), Live: len(seen.FileSystems) > 0,
		FileSystems: sampledRows(sampled), Missing: make([]missingRow, len(seen.Missing)),
	}
	if body.Live {
		body.FileSystems = seenRows(seen, sampled)
	}
	if seen.Reason != sample.None {
		body.Problem = &seen.Explanation
	}
	for i, m := range seen.Missing {
		body.Missing[i] = missingRow{m.Use, m.Path, m.Reason.String()}
	}
	for i, f := range body.FileSystems {
		if body.SampledAt != nil && !f.SampledAt.After(*body.SampledAt) {
			continue
		}
		age := max(r.Now().Sub(f.SampledAt).Seconds(), 0)
		body.SampledAt, body.AgeSeconds = &f.SampledAt, &age
		if !body.Live {
			body.Source = sampled[i].Source
		}
	}
	return say(body), nil
}

// seenRows gives what was seen, with the trends that history knows.
func seenRows(seen live.Disks, sampled []history.Disk) []fileSystemRow {
	trends := make(map[string]*float64, len(sampled))
	for _, d := range sampled {
		trends[d.MountPoint] = d.Trend
	}
	rows := make([]fileSystemRow, len(seen.FileSystems))
	for i, f := range seen.FileSystems {
		rows[i] = fileSystemRow{
			MountPoint: f.MountPoint, Device: textOrNull(f.Device), Uses: f.Uses, SampledAt: utc(seen.At),
			TotalBytes: route.Known(f.Total), FreeBytes: route.Known(f.Free),
			InodesTotal: route.Known(f.Inodes), InodesFree: route.Known(f.InodesFree),
			TrendBytesPerSecond: trends[f.MountPoint],
		}
		if trend := rows[i].TrendBytesPerSecond; trend != nil && *trend < 0 && f.Free.Known {
			hours := float64(f.Free.V) / -*trend / 3600
			rows[i].FullInHours = &hours
		}
	}
	return rows
}

func sampledRows(sampled []history.Disk) []fileSystemRow {
	rows := make([]fileSystemRow, len(sampled))
	for i, d := range sampled {
		rows[i] = fileSystemRow{
			MountPoint: d.MountPoint, Device: textOrNull(d.Device), Uses: d.Uses, SampledAt: utc(d.At),
			TotalBytes: d.Total, FreeBytes: d.Free, InodesTotal: d.Inodes, InodesFree: d.InodesFree,
			TrendBytesPerSecond: d.Trend,
		}
		if rows[i].Uses == nil {
			rows[i].Uses = []string{}
		}
		if d.FullIn != nil {
			hours := d.FullIn.Hours()
			rows[i].FullInHours = &hours
		}
	}
	return rows
}

type diskSeriesRow struct {
	MountPoint   string      `json:"mount_point"`
	Device       *string     `json:"device"`
	Uses         []string    `json:"uses" nullable:"false"`
	Times        []time.Time `json:"times" nullable:"false" doc:"Starts of the buckets, or instants of the samples."`
	TotalBytes   []*int64    `json:"total_bytes" nullable:"false"`
	FreeBytes    []*int64    `json:"free_bytes" nullable:"false" doc:"The newest of the bucket."`
	MinFreeBytes []*int64    `json:"min_free_bytes" nullable:"false" doc:"The least of the bucket."`
	InodesFree   []*int64    `json:"inodes_free" nullable:"false"`
}

type diskHistoryBody struct {
	Server      string          `json:"server"`
	From        time.Time       `json:"from"`
	To          time.Time       `json:"to"`
	StepSeconds *int64          `json:"step_seconds" doc:"Width of a bucket, by the range; null: every stored sample. One in which nothing changed is stored every five minutes."`
	FileSystems []diskSeriesRow `json:"file_systems" nullable:"false" doc:"By mount point."`
	Coverage    coverageRow     `json:"coverage" doc:"Of the visits to the server, which looks at disks go along with."`
}

type diskHistoryInput struct {
	ServerPath
	RangeQuery
}

func (r routes) historyDisks(ctx context.Context, in *diskHistoryInput) (*output[diskHistoryBody], error) {
	span, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	line, err1 := r.History.DiskTimeline(ctx, t, span)
	covered, err2 := r.History.Coverage(ctx, t, span)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	body := diskHistoryBody{
		Server: t.Name, From: utc(line.Range.From), To: utc(line.Range.To),
		FileSystems: make([]diskSeriesRow, len(line.Disks)), Coverage: coverage(covered),
	}
	if line.Step > 0 {
		body.StepSeconds = inSeconds(line.Step)
	}
	for i, d := range line.Disks {
		body.FileSystems[i] = diskSeriesOf(d)
	}
	return say(body), nil
}

func diskSeriesOf(d history.DiskSeries) diskSeriesRow {
	n := len(d.Points)
	row := diskSeriesRow{
		MountPoint: d.MountPoint, Device: textOrNull(d.Device), Uses: d.Uses,
		Times: make([]time.Time, n), TotalBytes: make([]*int64, n), FreeBytes: make([]*int64, n),
		MinFreeBytes: make([]*int64, n), InodesFree: make([]*int64, n),
	}
	if row.Uses == nil {
		row.Uses = []string{}
	}
	for i, p := range d.Points {
		row.Times[i], row.TotalBytes[i], row.FreeBytes[i] = utc(p.At), p.Total, p.Free
		row.MinFreeBytes[i], row.InodesFree[i] = p.MinFree, p.InodesFree
	}
	return row
}
