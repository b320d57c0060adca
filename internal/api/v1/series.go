package v1

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/target"
)

type seriesInput struct {
	ServerPath
	RangeQuery
	Step string `query:"step" doc:"Width of a bucket: 10s, 5m, 1h, 1d; default by the range. Below 1h for at most two days." example:"5m"`
}

// plan reads the question.
func (in *seriesInput) plan(now time.Time) (history.Plan, error) {
	span, err1 := in.parse(now)
	step, err2 := parseStep(in.Step)
	if err := errors.Join(err1, err2); err != nil {
		return history.Plan{}, err
	}
	return history.PlanSeries(span, step)
}

// SeriesHead is what every answer of series of databases begins with.
type SeriesHead struct {
	Server      string      `json:"server"`
	From        time.Time   `json:"from" doc:"As answered: whole hours or days where the grain is one."`
	To          time.Time   `json:"to"`
	StepSeconds int64       `json:"step_seconds"`
	Grain       string      `json:"grain" enum:"sample,10minute,hour,day" doc:"What the answer was made from."`
	Times       []time.Time `json:"times" nullable:"false" doc:"Starts of the buckets, multiples of the step since the Unix epoch."`
}

func headOf(server string, plan history.Plan, times []time.Time) SeriesHead {
	return SeriesHead{
		Server: server, From: utc(plan.Range.From), To: utc(plan.Range.To), StepSeconds: int64(plan.Step / time.Second),
		Grain: string(plan.Grain), Times: times,
	}
}

type databaseRateRow struct {
	Database       string     `json:"database"`
	Commits        []*float64 `json:"commits_per_second" nullable:"false"`
	Rollbacks      []*float64 `json:"rollbacks_per_second" nullable:"false"`
	BlocksRead     []*float64 `json:"blocks_read_per_second" nullable:"false" doc:"Not found in shared buffers."`
	BlocksHit      []*float64 `json:"blocks_hit_per_second" nullable:"false" doc:"Found in shared buffers."`
	TempBytes      []*float64 `json:"temp_bytes_per_second" nullable:"false"`
	Deadlocks      []*int64   `json:"deadlocks" nullable:"false" doc:"In the bucket."`
	Connections    []*float64 `json:"connections" nullable:"false" doc:"Average over time."`
	MaxConnections []*int32   `json:"max_connections" nullable:"false"`
}

type databaseRatesBody struct {
	SeriesHead

	Databases []databaseRateRow `json:"databases" nullable:"false" doc:"By name, templates left out. One element a bucket; null: nothing is known."`
	Coverage  coverageRow       `json:"coverage" doc:"Of the visits to the server, which looks at databases go along with."`
}

func (r routes) historyDatabases(ctx context.Context, in *seriesInput) (*output[databaseRatesBody], error) {
	plan, err := in.plan(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	rates, err1 := r.History.DatabaseRates(ctx, t, plan)
	covered, err2 := r.History.Coverage(ctx, t, plan.Range)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return say(databaseRatesBody{headOf(t.Name, plan, rates.Times), ratesOf(rates), coverage(covered)}), nil
}

func ratesOf(rates history.DatabaseRates) []databaseRateRow {
	rows := make([]databaseRateRow, len(rates.Databases))
	for i, d := range rates.Databases {
		counted := make([]bool, len(d.Seconds))
		for b, seconds := range d.Seconds {
			counted[b] = seconds > 0
		}
		rate := func(counts []float64) []*float64 {
			values := make([]float64, len(counts))
			for b, n := range counts {
				values[b] = n / d.Seconds[b]
			}
			return whereKnown(counted, values)
		}
		rows[i] = databaseRateRow{
			Database: d.Name, Commits: rate(d.Commits), Rollbacks: rate(d.Rollbacks), BlocksRead: rate(d.BlocksRead), BlocksHit: rate(d.BlocksHit),
			TempBytes: rate(d.TempBytes), Deadlocks: whereKnown(counted, d.Deadlocks), Connections: whereKnown(d.Known, d.Connections),
			MaxConnections: whereKnown(d.Known, d.MaxConnections),
		}
	}
	return rows
}

// whereKnown gives a series with null where nothing is known.
func whereKnown[T any](known []bool, values []T) []*T {
	series := make([]*T, len(values))
	for i := range values {
		if known[i] {
			series[i] = &values[i]
		}
	}
	return series
}

type databaseSizesRow struct {
	Database string   `json:"database"`
	Bytes    []*int64 `json:"size_bytes" nullable:"false" doc:"The newest known at the end of each bucket; null: none of a day before, or it was not there."`
}

type databaseSizesBody struct {
	SeriesHead

	Databases []databaseSizesRow `json:"databases" nullable:"false" doc:"By name, templates left out."`
	Coverage  coverageRow        `json:"coverage" doc:"Of the visits to the server, which looks at sizes go along with."`
}

func (r routes) historySizes(ctx context.Context, in *seriesInput) (*output[databaseSizesBody], error) {
	plan, err := in.plan(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	sizes, err1 := r.History.DatabaseSizes(ctx, t, plan)
	covered, err2 := r.History.Coverage(ctx, t, plan.Range)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	body := databaseSizesBody{headOf(t.Name, plan, sizes.Times), make([]databaseSizesRow, len(sizes.Databases)), coverage(covered)}
	for i, d := range sizes.Databases {
		body.Databases[i] = databaseSizesRow{d.Name, d.Bytes}
	}
	return say(body), nil
}

type coverageSeriesRow struct {
	StepSeconds int64       `json:"step_seconds"`
	Times       []time.Time `json:"times" nullable:"false" doc:"Starts of the buckets, multiples of the step since the Unix epoch."`
	Planned     []int64     `json:"planned" nullable:"false"`
	OK          []int64     `json:"ok" nullable:"false"`
	Degraded    []int64     `json:"degraded" nullable:"false"`
	Failed      []int64     `json:"failed" nullable:"false"`
	Skipped     []int64     `json:"skipped" nullable:"false"`
}

type coverageBody struct {
	Server   string             `json:"server"`
	From     time.Time          `json:"from"`
	To       time.Time          `json:"to"`
	Coverage coverageRow        `json:"coverage"`
	Series   *coverageSeriesRow `json:"series" doc:"One element a step; null: none was asked for."`
}

// TransformSchema implements huma.SchemaTransformer.
func (coverageBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "series")
}

type coverageInput struct {
	ServerPath
	RangeQuery
	Step string `query:"step" doc:"Width of a bucket in whole minutes: 1m, 1h, 1d; default none." example:"1h"`
}

func (r routes) historyCoverage(ctx context.Context, in *coverageInput) (*output[coverageBody], error) {
	span, err1 := in.parse(r.Now())
	step, err2 := parseStep(in.Step)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := history.PlanCoverage(span, step); err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	body, err := r.coverageOf(ctx, t, span, step)
	if err != nil {
		return nil, err
	}
	return say(body), nil
}

func (r routes) coverageOf(ctx context.Context, t target.Target, span history.Range, step time.Duration) (coverageBody, error) {
	body := coverageBody{Server: t.Name, From: utc(span.From), To: utc(span.To)}
	line, err := r.History.CoverageSeries(ctx, t, span, step)
	if err != nil {
		return body, err
	}
	body.Coverage = coverage(line.Coverage)
	if step == 0 {
		return body, nil
	}
	n := len(line.Buckets)
	counts := func() []int64 { return make([]int64, n) }
	series := &coverageSeriesRow{
		StepSeconds: int64(step / time.Second), Times: line.Times, Planned: counts(), OK: counts(), Degraded: counts(), Failed: counts(), Skipped: counts(),
	}
	for i, c := range line.Buckets {
		series.Planned[i], series.OK[i], series.Degraded[i], series.Failed[i], series.Skipped[i] = c.Planned, c.OK, c.Degraded, c.Failed, c.Skipped
	}
	body.Series = series
	return body, nil
}
