package ingest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Load writes ticks of a server, which come in the order of time, and what they
// name, in one transaction: straight into compacted buckets, with all that is
// derived from them. It is for history that is made up, and several times faster
// than Append and Compact, for it takes for granted that nothing of its buckets is
// there; where something is, it changes nothing and fails. The partitions must be
// there.
func (w *Writer) Load(ctx context.Context, server target.ID, names *sample.Entries, ticks iter.Seq[*sample.Tick]) error {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, _, err := lockServer(ctx, tx, &pgx.Batch{}, server, 0, nil); err != nil {
			return err
		}
		b := &pgx.Batch{}
		queueEntries(b, server, names)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		l := loading{tx: tx, server: server, hash: w.hash}
		for t := range ticks {
			if err := l.add(ctx, t); err != nil {
				return err
			}
		}
		return l.begin(ctx, time.Time{})
	})
	if err != nil {
		return fmt.Errorf("load samples of server %d: %w", server, statsdb.Classify(err))
	}
	return nil
}

// loading is what is being loaded.
type loading struct {
	tx     pgx.Tx
	server target.ID
	hash   sample.Hash

	bucket time.Time // zero: none was begun
	rows   []*sample.Row
	labels *labels // of the bucket's day
}

func (l *loading) add(ctx context.Context, t *sample.Tick) error {
	if bucket := t.Planned.Truncate(sample.BucketLength); !bucket.Equal(l.bucket) {
		if err := l.begin(ctx, bucket); err != nil {
			return err
		}
	}
	row := sample.NewRow(l.server, t)
	l.rows = append(l.rows, &row)
	return nil
}

// begin writes the bucket before, and the hour and the day that end with it.
func (l *loading) begin(ctx context.Context, bucket time.Time) error {
	if len(l.rows) > 0 {
		if err := l.write(ctx, bucket); err != nil {
			return err
		}
	}
	if bucket.Truncate(24*time.Hour) != l.bucket.Truncate(24*time.Hour) {
		l.labels = newLabels(l.hash, l.server, bucket)
	}
	l.bucket, l.rows = bucket, nil
	return nil
}

func (l *loading) write(ctx context.Context, next time.Time) error {
	c := compaction{tx: l.tx, server: l.server, bucket: l.bucket, labels: l.labels}
	// What came before is out of sight until it is merged in.
	if _, err := l.tx.Exec(ctx, "/* pgam:load */ update history.activity_recent set late = true where server_id = $1 and slot >= $2 and slot < $3",
		l.server, l.bucket, c.end()); err != nil {
		return err
	}
	merged := sample.Merge(l.rows...)
	for _, part := range sample.Split(&merged) {
		if err := c.write(ctx, &part); err != nil {
			return err
		}
	}
	if err := c.fine(ctx); err != nil {
		return err
	}
	if !next.Truncate(time.Hour).Equal(l.bucket.Truncate(time.Hour)) {
		if err := c.hour(ctx); err != nil {
			return err
		}
	}
	if next.Truncate(24 * time.Hour).Equal(l.bucket.Truncate(24 * time.Hour)) {
		return nil
	}
	return c.day(ctx)
}
