package compat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/target"
)

// defaultRange is what is shown where no dates are given.
const defaultRange = 7 * 24 * time.Hour

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// RangeQuery is the range of a question about the past.
type RangeQuery struct {
	StartDate string `query:"start_date" doc:"RFC 3339 or a date, UTC where it names no zone; default seven days ago." example:"2026-11-15T00:00:00Z"`
	EndDate   string `query:"end_date" doc:"As start_date; default now. This instant itself is left out." example:"2026-11-22"`
}

// parse gives the range; ok is false where it ends before it begins, which the
// contract answers with nothing.
func (q RangeQuery) parse(now time.Time) (r history.Range, ok bool, err error) {
	from, err1 := parseDate("start_date", q.StartDate, now.Add(-defaultRange))
	to, err2 := parseDate("end_date", q.EndDate, now)
	if err := errors.Join(err1, err2); err != nil {
		return history.Range{}, false, err
	}
	r = history.Range{From: from, To: to}
	return r, !r.Empty(), nil
}

// parseDate reads what Python's fromisoformat does, and RFC 3339. A plus that
// came as a space, because it was not escaped, is a plus.
func parseDate(field, text string, unset time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return unset.UTC(), nil
	}
	if at := len(text) - len(" 03:00"); at >= len("2006-01-02T15:04") && text[at] == ' ' {
		text = text[:at] + "+" + text[at+1:]
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15:04Z07:00", "2006-01-02",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04",
	} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %s is not a date: write 2026-11-22 or 2026-11-22T10:00:00Z", history.ErrInvalid, field)
}

type databaseRow struct {
	Name         string  `json:"name"`
	Exists       bool    `json:"exists"`
	CreationTime *string `json:"creation_time" doc:"Null: it was there before the first look."`
}

type connectionPoint struct {
	TS          string  `json:"ts"`
	DatName     string  `json:"datname"`
	Connections int64   `json:"connections" doc:"Average of the bucket; where aggregation is raw, at its end."`
	SizeGB      float64 `json:"size_gb" doc:"Newest size at the end of the bucket; 0: unknown."`
}

type serverStatsBody struct {
	LastStatUpdate     *string           `json:"last_stat_update"`
	TotalConnections   int64             `json:"total_connections" doc:"Connections at the newest sample of the range, over all databases."`
	TotalSizeGB        float64           `json:"total_size_gb" doc:"Sizes at the newest sample of the range."`
	Databases          []databaseRow     `json:"databases" nullable:"false"`
	ConnectionTimeline []connectionPoint `json:"connection_timeline" nullable:"false" doc:"By time, then name: every database that was there at each of at most 720 instants."`
	Aggregation        string            `json:"aggregation" enum:"raw,hour,4hour,day" doc:"Width of the buckets; raw: 10 seconds to 5 minutes."`
}

type statsInput struct {
	ServerPath
	RangeQuery
}

func (r routes) serverStats(ctx context.Context, in *statsInput) (*output[serverStatsBody], error) {
	span, ok, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.ServerName)
	if err != nil {
		return nil, err
	}
	line := history.Timeline{Aggregation: history.Raw}
	if ok {
		if line, err = r.History.ServerTimeline(ctx, t.ID, span); err != nil {
			return nil, err
		}
	}
	body := serverStatsBody{
		LastStatUpdate:     isoTimeOrNull(line.LastSampleAt),
		TotalConnections:   line.Connections,
		TotalSizeGB:        float64(line.SizeBytes) / gibibyte,
		Databases:          databaseRows(line.Databases),
		ConnectionTimeline: connectionPoints(line.Points),
		Aggregation:        string(line.Aggregation),
	}
	return say(body), nil
}

// connectionPoints shapes the points of a server's timeline, those of one instant
// together.
func connectionPoints(points []history.DatabasePoint) []connectionPoint {
	rows := make([]connectionPoint, len(points))
	for i := range points {
		p := &points[i]
		row := connectionPoint{DatName: p.Database, Connections: int64(math.RoundToEven(p.Connections)), SizeGB: sizeIn(p.SizeBytes, gibibyte)}
		if i > 0 && p.At.Equal(points[i-1].At) {
			row.TS = rows[i-1].TS
		} else {
			row.TS = isoTime(p.At)
		}
		rows[i] = row
	}
	return rows
}

// databasePoints shapes the points of one database's timeline.
func databasePoints(points []history.DatabasePoint) []databasePoint {
	rows := make([]databasePoint, len(points))
	for i := range points {
		p := &points[i]
		rows[i] = databasePoint{isoTime(p.At), int64(math.RoundToEven(p.Connections)), sizeIn(p.SizeBytes, mebibyte), p.Commits}
	}
	return rows
}

// databaseRows gives one row a name, the newest of those that had it.
func databaseRows(list []history.Database) []databaseRow {
	rows := make([]databaseRow, 0, len(list))
	for _, d := range list { // by name, the oldest first
		row := databaseRow{d.Name, d.DroppedAt == nil, isoTimeOrNull(d.CreatedAt)}
		if n := len(rows); n > 0 && rows[n-1].Name == d.Name {
			rows[n-1] = row
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

func sizeIn(bytes *int64, unit float64) float64 {
	if bytes == nil {
		return 0
	}
	return float64(*bytes) / unit
}

// DatabasePath is the database that an operation is about.
type DatabasePath struct {
	ServerPath
	DBName string `path:"db_name" doc:"The database's name."`
}

type databaseNowBody struct {
	SizeMB      float64 `json:"size_mb" doc:"0: unknown."`
	Connections int32   `json:"connections"`
	Commits     int64   `json:"commits" doc:"Since the statistics were last reset."`
	LastUpdate  *string `json:"last_update" doc:"When connections and commits were read; null: never."`
}

func (r routes) databaseNow(ctx context.Context, in *DatabasePath) (*output[databaseNowBody], error) {
	t, err := r.Live.Server(in.ServerName)
	if err != nil {
		return nil, err
	}
	now, err := r.History.DatabaseNow(ctx, t.ID, in.DBName)
	unknown := errors.Is(err, history.ErrNoDatabase)
	if err != nil && !unknown {
		return nil, err
	}
	body := databaseNowBody{SizeMB: sizeIn(now.SizeBytes, mebibyte), LastUpdate: isoTimeOrNull(now.SampledAt)}
	if now.Connections != nil {
		body.Connections = *now.Connections
	}
	if now.CommitsTotal != nil {
		body.Commits = *now.CommitsTotal
	}
	if now.SizeBytes == nil {
		size, err := r.askSize(ctx, t, in.DBName)
		switch {
		case err == nil:
			body.SizeMB = float64(size) / mebibyte
		case unknown:
			return nil, err
		default: // history knows it: say what there is
			r.Log.DebugContext(ctx, "size of a database is unknown", "server", t.Name, "error", err)
		}
	}
	return say(body), nil
}

// askSize asks the server itself for a size that history does not have yet.
func (r routes) askSize(ctx context.Context, t target.Target, name string) (int64, error) {
	size, ok, err := r.Live.DatabaseSize(ctx, t, name)
	if err == nil && !ok {
		err = history.ErrNoDatabase
	}
	return size, err
}

type databasePoint struct {
	TS          string  `json:"ts"`
	Connections int64   `json:"connections" doc:"Average of the bucket; where aggregation is raw, at its end."`
	SizeMB      float64 `json:"size_mb" doc:"Newest size at the end of the bucket; 0: unknown."`
	Commits     int64   `json:"commits" doc:"Commits made in the bucket."`
}

type databaseStatsBody struct {
	LastStatUpdate   *string         `json:"last_stat_update"`
	TotalConnections int64           `json:"total_connections" doc:"Connections at the newest sample of the range."`
	TotalCommits     int64           `json:"total_commits" doc:"Commits made in the range."`
	TotalSizeMB      float64         `json:"total_size_mb" doc:"Size at the newest sample of the range."`
	CreationTime     *string         `json:"creation_time"`
	MaxConnections   int32           `json:"max_connections"`
	MinConnections   int32           `json:"min_connections"`
	Timeline         []databasePoint `json:"timeline" nullable:"false"`
	Aggregation      string          `json:"aggregation" enum:"raw,hour,4hour,day" doc:"Width of the buckets; raw: 10 seconds to 5 minutes."`
}

type databaseStatsInput struct {
	DatabasePath
	RangeQuery
}

func (r routes) databaseStats(ctx context.Context, in *databaseStatsInput) (*output[databaseStatsBody], error) {
	span, ok, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.ServerName)
	if err != nil {
		return nil, err
	}
	line := history.Timeline{Aggregation: history.Raw}
	if ok {
		if line, err = r.History.DatabaseTimeline(ctx, t.ID, in.DBName, span); err != nil {
			return nil, err
		}
	}
	body := databaseStatsBody{
		LastStatUpdate:   isoTimeOrNull(line.LastSampleAt),
		TotalConnections: line.Connections,
		TotalCommits:     line.Commits,
		TotalSizeMB:      float64(line.SizeBytes) / mebibyte,
		MaxConnections:   line.MaxConnections,
		MinConnections:   line.MinConnections,
		Timeline:         databasePoints(line.Points),
		Aggregation:      string(line.Aggregation),
	}
	if n := len(line.Databases); n > 0 {
		body.CreationTime = isoTimeOrNull(line.Databases[n-1].CreatedAt)
	}
	return say(body), nil
}
