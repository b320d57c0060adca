package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// ErrNothing says that a bucket has no recent rows: somebody else compacted it.
var ErrNothing = errors.New("there is nothing to compact")

// Compact merges the recent rows of a bucket, and what is compacted of it
// already, into rows of history.activity, and makes anew what is derived from
// them: minutes, rollups of ten minutes, and the hour and the day above.
func (w *Writer) Compact(ctx context.Context, server target.ID, bucket time.Time) error {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, _, err := lockServer(ctx, tx, &pgx.Batch{}, server, 0, nil); err != nil {
			return err
		}
		c := compaction{tx: tx, server: server, bucket: bucket, labels: newLabels(w.hash, server, bucket)}
		if err := c.list(ctx); err != nil {
			return err
		}
		if err := c.merge(ctx); err != nil {
			return err
		}
		return c.derive(ctx)
	})
	if err != nil {
		return fmt.Errorf("compact samples of server %d from %s: %w", server, bucket.Format(time.RFC3339), err)
	}
	return nil
}

// compaction is one bucket while it is compacted. In memory is what one part may
// hold, and what is read next.
type compaction struct {
	tx     pgx.Tx
	server target.ID
	bucket time.Time

	sources []source
	slots   []time.Time // of the sources that are recent rows
	part    int32       // number of the next part
	minutes [sample.BucketLength / time.Minute]sample.Summary
	tally   sample.Tally
	labels  *labels
}

// source is a stored row of the bucket: a recent one, or a part.
type source struct {
	slot    *time.Time
	part    *int32
	first   int32 // milliseconds from the bucket to its first tick
	samples int64
}

func (c *compaction) end() time.Time { return c.bucket.Add(sample.BucketLength) }

// list finds what there is of the bucket, in the order of its first ticks.
func (c *compaction) list(ctx context.Context) error {
	rows, err := c.tx.Query(ctx, sql("list_sources"), named{"server_id": c.server, "from": c.bucket, "to": c.end()})
	if err != nil {
		return err
	}
	c.sources, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s source, err error) {
		err = row.Scan(&s.slot, &s.part, &s.first, &s.samples)
		return s, err
	})
	for _, s := range c.sources {
		if s.slot != nil {
			c.slots = append(c.slots, s.slot.UTC())
		}
		if s.part != nil {
			c.part = max(c.part, *s.part+1)
		}
	}
	if err == nil && len(c.slots) == 0 {
		err = ErrNothing
	}
	return err
}

// merge writes the parts of the merged bucket, as many sources at a time as make
// a part: of those that come first, all ticks before the next source are final.
func (c *compaction) merge(ctx context.Context) error {
	var open *sample.Row
	for i := 0; i < len(c.sources); {
		n, samples := i, int64(0)
		for ; n < len(c.sources) && (n == i || samples+c.sources[n].samples <= sample.MaxPart); n++ {
			samples += c.sources[n].samples
		}
		rows, err := c.read(ctx, c.sources[i:n])
		if err != nil {
			return err
		}
		if open != nil {
			rows = append(rows, open)
		}
		merged := sample.Merge(rows...)
		open = &merged
		if i = n; i < len(c.sources) {
			if open, err = c.writeBefore(ctx, open, c.sources[i].first); err != nil {
				return err
			}
		}
	}
	for _, part := range sample.Split(open) {
		if err := c.write(ctx, &part); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, sql("delete_sources"), named{"server_id": c.server, "bucket": c.bucket, "parts": c.oldParts(), "slots": c.slots})
	return err
}

// writeBefore writes the parts of a row that end before an instant, in
// milliseconds from the bucket, and gives what is left of it.
func (c *compaction) writeBefore(ctx context.Context, r *sample.Row, before int32) (*sample.Row, error) {
	parts := sample.Split(r)
	var left []*sample.Row
	for i := range parts {
		p := &parts[i]
		if last := p.Planned[len(p.Planned)-1]; i < len(parts)-1 && last/1000 < before/1000 {
			if err := c.write(ctx, p); err != nil {
				return nil, err
			}
			continue
		}
		left = append(left, p)
	}
	rest := sample.Merge(left...)
	return &rest, nil
}

func (c *compaction) oldParts() []int32 {
	parts := []int32{}
	for _, s := range c.sources {
		if s.part != nil {
			parts = append(parts, *s.part)
		}
	}
	return parts
}

// read gives the rows of some sources.
func (c *compaction) read(ctx context.Context, sources []source) (rows []*sample.Row, err error) {
	slots, parts := []time.Time{}, []int32{}
	for _, s := range sources {
		if s.slot != nil {
			slots = append(slots, *s.slot)
		} else {
			parts = append(parts, *s.part)
		}
	}
	args := named{"server_id": c.server, "bucket": c.bucket, "slots": slots, "parts": parts}
	for _, name := range []string{"read_slots", "read_parts"} {
		found, err := c.tx.Query(ctx, sql(name), args)
		if err != nil {
			return nil, err
		}
		list, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (*sample.Row, error) {
			r, key := &sample.Row{Server: c.server, Bucket: c.bucket}, any(nil)
			if err := row.Scan(append([]any{&key}, r.Fields()...)...); err != nil {
				return nil, err
			}
			if !r.Fits() {
				return nil, errMalformed
			}
			return r, nil
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, list...)
	}
	return rows, nil
}

// write stores a part, and counts it.
func (c *compaction) write(ctx context.Context, part *sample.Row) error {
	row := append([]any{int64(c.server), c.bucket, c.part, int32(len(part.Tick))}, part.Fields()...)
	c.part++
	if err := copyRows(ctx, c.tx.Conn(), "activity", append([]string{"server_id", "bucket", "part", "samples"}, rowColumns...), [][]any{row}, ""); err != nil {
		return err
	}
	for i := range c.minutes {
		start := c.bucket.Add(time.Duration(i) * time.Minute)
		s := part.Summary(start, start.Add(time.Minute))
		c.minutes[i].Add(&s)
	}
	if err := c.labels.learn(ctx, c.tx, part.SessionKeys); err != nil {
		return err
	}
	c.tally.Add(part, c.labels.of)
	return nil
}
