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
	args := func() pgx.NamedArgs { return pgx.NamedArgs{"server_id": c.server} }
	b.Queue("/* pgam:compact */ delete from history.activity_minute where server_id = $1 and minute >= $2 and minute < $3", c.server, c.bucket, c.end())
	for i := range c.minutes {
		if c.minutes[i].First.IsZero() {
			continue
		}
		minute := c.bucket.Add(time.Duration(i) * time.Minute)
		a := summaryArgs(args(), minute, &c.minutes[i])
		a["minute"] = minute
		b.Queue(sql("insert_minute"), a)
	}
	var rollups rollups
	for d := sample.ByWait; d <= sample.ByBackendType; d++ {
		rollups[d] = c.tally.Rollup(d)
	}
	c.queueRollups(b, tenMinutes, c.bucket, &rollups)
	c.labels.queue(b, &rollups)
	return c.tx.SendBatch(ctx, b).Close()
}

func (c *compaction) hour(ctx context.Context) error {
	return c.coarser(ctx, hour, tenMinutes, "read_minutes")
}

func (c *compaction) day(ctx context.Context) error { return c.coarser(ctx, day, hour, "read_hours") }

// rollups are those of one bucket by dimension.
type rollups [sample.ByBackendType + 1]sample.Rollup

func (c *compaction) queueRollups(b *pgx.Batch, step int, bucket time.Time, all *rollups) {
	b.Queue("/* pgam:compact */ delete from history.activity_rollup where server_id = $1 and step_seconds = $2 and bucket = $3", c.server, step, bucket)
	for d := sample.ByWait; d <= sample.ByBackendType; d++ {
		r := &all[d]
		if r.Ticks == 0 {
			continue
		}
		b.Queue(sql("insert_rollup"), pgx.NamedArgs{
			"server_id": c.server, "step_seconds": step, "dimension": int16(d), "bucket": bucket, "ticks": r.Ticks, "samples": r.Samples,
			"keys": r.Keys, "key_samples": r.KeySamples, "key_peaks": r.KeyPeaks, "tail_keys": r.TailKeys, "tail_samples": r.TailSamples,
		})
	}
}

// coarser makes the hour or the day that the bucket lies in of the next finer
// rows.
func (c *compaction) coarser(ctx context.Context, step, finer int, summaries string) error {
	length := time.Duration(step) * time.Second
	from := c.bucket.Truncate(length)
	args := pgx.NamedArgs{"server_id": c.server, "step_seconds": finer, "from": from, "to": from.Add(length)}
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
	b := &pgx.Batch{}
	b.Queue("/* pgam:compact */ delete from history.activity_total where server_id = $1 and step_seconds = $2 and bucket = $3", c.server, step, from)
	if !total.First.IsZero() {
		a := summaryArgs(pgx.NamedArgs{"server_id": c.server, "step_seconds": step, "bucket": from}, from, &total)
		b.Queue(sql("insert_total"), a)
	}
	c.queueRollups(b, step, from, &sums)
	if step == day {
		b.Queue("/* pgam:compact */ update history.progress set compacted_until = greatest(compacted_until, $2) where server_id = $1", c.server, c.end())
	}
	return c.tx.SendBatch(ctx, b).Close()
}
