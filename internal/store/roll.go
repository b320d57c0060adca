package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// rollGrace is how long after its end a bucket is made: until then windows of
// it are still on their way.
const rollGrace = 90 * time.Second

// rollFaults is how many buckets may fail before the turn ends. Those that failed
// before come last, so that the turn has done all others by then.
const rollFaults = 10

// dueBucket is a row of history.rollup_due. What it counts was read before what
// the bucket is made of.
type dueBucket struct {
	server   target.ID
	step     time.Duration
	bucket   time.Time
	revision int32
}

func (d dueBucket) end() time.Time { return d.bucket.Add(d.step) }

// coarser is the step of the bucket that this one is summed up in.
func (d dueBucket) coarser() time.Duration {
	switch d.step {
	case rollup.TenMinutes:
		return rollup.Hour
	case rollup.Hour:
		return rollup.Day
	default:
		return 0
	}
}

// Roll makes the rollups of activity that are due and over, the oldest first, those
// that could not be made before after all others, and at most limit: those of ten
// minutes from windows, of hours and days from finer ones. more says that others
// are due.
//
// Each is made in a transaction of its own, which locks its row in
// history.rollup_due for as long as one statement takes, and leaves it for
// the next time if anyone else has it. So it may be stopped and called at any
// time, by several at once: a bucket for which something came meanwhile stays
// due. One that cannot be made does not keep others from it, and is in the
// error.
func (s *Store) Roll(ctx context.Context, now time.Time, limit int) (made int, more bool, err error) {
	due, err := s.due(ctx, now.Add(-rollGrace), limit)
	if err != nil {
		return 0, false, fmt.Errorf("list rollups that are due: %w", statsdb.Classify(err))
	}
	var faults []error
	for _, d := range due {
		done, err := s.rollOne(ctx, d)
		if done {
			made++
		}
		if err != nil {
			faults = append(faults, s.rollFailed(ctx, d, statsdb.Classify(err)))
		}
		if ctx.Err() != nil || len(faults) >= rollFaults || errors.Is(errors.Join(faults...), statsdb.ErrUnavailable) {
			break
		}
	}
	return made, len(due) == limit && made > 0, errors.Join(faults...)
}

// rollFailed notes that a bucket could not be made, so that it comes last the
// next time and costs nobody but itself; it gives the fault with its name.
func (s *Store) rollFailed(ctx context.Context, d dueBucket, fault error) error {
	fault = fmt.Errorf("roll up %s of server %d from %s on: %w", d.step, d.server, d.bucket.Format(time.RFC3339), fault)
	if ctx.Err() != nil || errors.Is(fault, statsdb.ErrUnavailable) {
		return fault // it was not for the bucket
	}
	const sql = `/* pgam:roll */
update history.rollup_due
   set tries = tries + 1
 where server_id = $1
   and step_seconds = $2
   and bucket = $3`
	if _, err := s.pool.Exec(ctx, sql, d.server, seconds(d.step), d.bucket); err != nil {
		return errors.Join(fault, fmt.Errorf("note that it failed: %w", statsdb.Classify(err)))
	}
	return fault
}

// due lists what is due and over by an instant. Hours and days come when there
// are no ten minutes left to do, in them and elsewhere.
func (s *Store) due(ctx context.Context, by time.Time, limit int) ([]dueBucket, error) {
	const fine = `/* pgam:roll */
select d.server_id, d.step_seconds, d.bucket, d.revision
  from history.rollup_due d
 where d.step_seconds = 600
   and d.bucket <= $1::timestamptz - interval '10 minutes'
   and not exists (select from pgam.server s where s.id = d.server_id and s.purge)
 order by d.tries, d.bucket, d.server_id
 limit $2`
	const coarse = `/* pgam:roll */
select d.server_id, d.step_seconds, d.bucket, d.revision
  from history.rollup_due d
 where d.step_seconds > 600
   and d.bucket <= $1::timestamptz - d.step_seconds * interval '1 second'
   and not exists (select from pgam.server s where s.id = d.server_id and s.purge)
   and (d.step_seconds = 0 or not exists ( -- looked up for each, in the index
        select from history.rollup_due f
         where f.server_id = d.server_id
           and f.step_seconds = any ('{600,3600}')
           and f.step_seconds < d.step_seconds
           and f.bucket >= d.bucket
           and f.bucket < d.bucket + d.step_seconds * interval '1 second'))
 order by d.tries, d.step_seconds, d.bucket, d.server_id
 limit $2`
	var all []dueBucket
	list := func(name, sql string) question {
		return question{
			name: name, sql: sql,
			args: func(p *params) {
				p.time(by)
				p.int8(int64(limit - len(all)))
			},
			row: func(v values) {
				all = append(all, dueBucket{target.ID(v.int8(0)), time.Duration(v.int4(1)) * time.Second, v.time(2), v.int4(3)})
			},
		}
	}
	if err := s.ask(ctx, list("pgam_roll_due", fine)); err != nil || len(all) >= limit {
		return all, err
	}
	return all, s.ask(ctx, list("pgam_roll_due_coarse", coarse))
}

// rollOne makes one bucket; done is false if it stays due. The error is the
// driver's.
func (s *Store) rollOne(ctx context.Context, d dueBucket) (done bool, err error) {
	read := s.rollMerged
	if d.step == rollup.TenMinutes {
		read = s.rollWindows
	}
	rows, source, err := read(ctx, d)
	if err != nil {
		return false, err
	}
	done, err = s.writeRolled(ctx, d, rows, source)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "23514" { // no partition
		if err := s.rollPartitions(ctx, d); err != nil {
			return false, err
		}
		done, err = s.writeRolled(ctx, d, rows, source)
	}
	return done, err
}

// rollPartitions makes the partitions that a bucket is written into, and no
// others: a table is taken to be kept from its oldest partition on.
func (s *Store) rollPartitions(ctx context.Context, d dueBucket) error {
	existing, err := s.partitions(ctx)
	if err != nil {
		return err
	}
	for _, t := range partitionedTables() {
		of := time.Duration(t.step) * time.Second
		if (t.table == "activity_rollup" && (of == d.step || of == rollup.Minute && d.step == rollup.TenMinutes)) ||
			(t.table == "activity_total" && d.step > rollup.TenMinutes) {
			if err := s.ensurePartitions(ctx, t, existing, d.bucket, d.bucket); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollWindows folds the windows of ten minutes. source is false if there are
// none: they are no longer kept.
func (s *Store) rollWindows(ctx context.Context, d dueBucket) (rows []rollup.Row, source bool, err error) {
	s.rolls.mu.Lock()
	defer s.rolls.mu.Unlock()
	b := &s.rolls.windows
	b.reset()
	err = s.ask(ctx, leanWindows(leanColumns{session: true, query: true}, d.server, d.bucket, d.end(), b.add))
	if err = errors.Join(err, b.err()); err != nil || len(b.windows) == 0 {
		return nil, false, err
	}
	labels, ids := make(map[int32]rollup.Labels), []int32(nil)
	for i := range b.windows {
		for _, id := range b.windows[i].Session {
			if _, seen := labels[id]; !seen {
				labels[id], ids = rollup.Labels{}, append(ids, id)
			}
		}
	}
	texts := newLabelTexts()
	err = s.ask(ctx, sessionLabels(d.server, d.bucket, ids, func(id int32, v values) { labels[id] = texts.of(v) }))
	if err != nil {
		return nil, false, err
	}
	f := &s.rolls.folder
	f.Begin(d.bucket)
	for i := range b.windows {
		f.Add(&b.windows[i], labels)
	}
	rows = f.Rows()
	return rows, true, s.named(ctx, d, texts, rows)
}

// rollMerged sums up the rows of the next finer step.
func (s *Store) rollMerged(ctx context.Context, d dueBucket) (rows []rollup.Row, source bool, err error) {
	finer := rollup.TenMinutes
	if d.step == rollup.Day {
		finer = rollup.Hour
	}
	var by [rollup.BackendType + 1][]rollup.Row
	err = s.ask(ctx, planOnce(), question{
		name: "pgam_roll_finer",
		sql: `/* pgam:roll */
select dimension, ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples
  from history.activity_rollup
 where server_id = $1
   and step_seconds = $2
   and dimension = any ('{1,2,3,4,5,6,7}')
   and bucket >= $3
   and bucket < $4
 order by bucket`,
		args: func(p *params) {
			p.int8(int64(d.server))
			p.int4(seconds(finer))
			p.time(d.bucket)
			p.time(d.end())
		},
		row: func(v values) {
			dimension := v.int2(0)
			by[dimension] = append(by[dimension], rollup.Row{
				Dimension: rollup.Dimension(dimension), Ticks: v.int4(1), Samples: v.int8(2),
				Keys: v.appendInt4s(3, nil), KeySamples: v.appendInt8s(4, nil), KeyPeaks: v.appendInt4s(5, nil),
				TailKeys: v.int4(6), TailSamples: v.int8(7),
			})
		},
	})
	for _, of := range by {
		if len(of) > 0 {
			rows = append(rows, rollup.Merge(d.step, d.bucket, of))
		}
	}
	return rows, true, err
}
