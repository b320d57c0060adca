package ingest

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
)

const (
	tenMinutes = 600
	hour       = 3600
	day        = 86400
)

// derive makes what is derived from the bucket, and the hour and the day above
// it. Each is made of the finer ones as they are stored now, never by adding to
// what was there.
func (c *compaction) derive(ctx context.Context) error {
	if err := c.fine(ctx); err != nil {
		return err
	}
	if err := c.hour(ctx); err != nil {
		return err
	}
	return c.day(ctx)
}

// fine makes the minutes and the rollups of the bucket.
func (c *compaction) fine(ctx context.Context) error {
	b := &pgx.Batch{}
	b.Queue("/* pgam:compact */ delete from history.activity_minute where server_id = $1 and minute >= $2 and minute < $3", c.server, c.bucket, c.end())
	var rollups rollups
	for d := sample.ByWait; d <= sample.ByBackendType; d++ {
		rollups[d] = c.tally.Rollup(d)
	}
	c.labels.queue(b, &rollups)
	if err := c.tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	var rows [][]any
	for i := range c.minutes {
		if !c.minutes[i].First.IsZero() {
			minute := c.bucket.Add(time.Duration(i) * time.Minute)
			rows = append(rows, append([]any{int64(c.server)}, c.minutes[i].Stored(minute).Fields()...))
		}
	}
	if err := copyRows(ctx, c.tx.Conn(), "activity_minute", append([]string{"server_id", "minute"}, summaryColumns...), rows, ""); err != nil {
		return err
	}
	return c.rollups(ctx, tenMinutes, c.bucket, &rollups)
}

func (c *compaction) hour(ctx context.Context) error {
	return c.coarser(ctx, hour, tenMinutes, "read_minutes")
}

func (c *compaction) day(ctx context.Context) error { return c.coarser(ctx, day, hour, "read_hours") }

// rollups are those of one bucket by dimension.
type rollups [sample.ByBackendType + 1]sample.Rollup

// rollups writes those of a bucket in the place of what is there.
func (c *compaction) rollups(ctx context.Context, step int32, bucket time.Time, all *rollups) error {
	if _, err := c.tx.Exec(ctx, "/* pgam:compact */ delete from history.activity_rollup where server_id = $1 and step_seconds = $2 and bucket = $3",
		c.server, step, bucket); err != nil {
		return err
	}
	columns := []string{"server_id", "step_seconds", "dimension", "bucket", "ticks", "samples", "keys", "key_samples", "key_peaks", "tail_keys", "tail_samples"}
	var rows [][]any
	for d := range all {
		if r := &all[d]; r.Ticks > 0 {
			rows = append(rows, []any{
				int64(c.server), step, int16(d), bucket, int32(r.Ticks), r.Samples, r.Keys, r.KeySamples, r.KeyPeaks, r.TailKeys, r.TailSamples,
			})
		}
	}
	return copyRows(ctx, c.tx.Conn(), "activity_rollup", columns, rows, "")
}

// coarser makes the hour or the day that the bucket lies in of the next finer
// rows.
func (c *compaction) coarser(ctx context.Context, step, finer int32, summaries string) error {
	length := time.Duration(step) * time.Second
	from := c.bucket.Truncate(length)
	args := named{"server_id": c.server, "step_seconds": finer, "from": from, "to": from.Add(length)}
	found, err := c.tx.Query(ctx, sql(summaries), args)
	if err != nil {
		return err
	}
	parts, err := pgx.CollectRows(found, scanSummary)
	if err != nil {
		return err
	}
	total := sample.Summary{MaxBackends: sample.Unset}
	for i := range parts {
		total.Add(&parts[i])
	}
	rows, err := c.tx.Query(ctx, sql("read_rollups"), args)
	if err != nil {
		return err
	}
	var (
		by        [sample.ByBackendType + 1][]sample.Rollup
		dimension sample.Dimension
		one       sample.Rollup
	)
	_, err = pgx.ForEachRow(rows, []any{&dimension, &one.Ticks, &one.Samples, &one.Keys, &one.KeySamples, &one.KeyPeaks, &one.TailKeys, &one.TailSamples}, func() error {
		by[dimension] = append(by[dimension], one)
		one.Keys, one.KeySamples, one.KeyPeaks = nil, nil, nil
		return nil
	})
	if err != nil {
		return err
	}
	var sums rollups
	for d := range by {
		sums[d] = sample.SumRollups(by[d])
	}
	if _, err := c.tx.Exec(ctx, "/* pgam:compact */ delete from history.activity_total where server_id = $1 and step_seconds = $2 and bucket = $3",
		c.server, step, from); err != nil {
		return err
	}
	if !total.First.IsZero() {
		row := append([]any{int64(c.server), step}, total.Stored(from).Fields()...)
		if err := copyRows(ctx, c.tx.Conn(), "activity_total", append([]string{"server_id", "step_seconds", "bucket"}, summaryColumns...), [][]any{row}, ""); err != nil {
			return err
		}
	}
	if err := c.rollups(ctx, step, from, &sums); err != nil || step != day {
		return err
	}
	_, err = c.tx.Exec(ctx, "/* pgam:compact */ update history.progress set compacted_until = greatest(compacted_until, $2) where server_id = $1", c.server, c.end())
	return err
}
