package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// LoadedDay is the activity of a server's UTC day, as it comes from elsewhere
// than a collector: whole, and for a day of which nothing is stored.
type LoadedDay struct {
	Sessions []sample.SessionEntry
	// Windows begin in the day, and none of them in two stretches of ten minutes.
	Windows []sample.Window
	// Minutes are those of the day; the windows' own are not looked at.
	Minutes []sample.Minute
}

// LoadDay stores a day with the rollups that the collector would have made of
// it, in one transaction. It is several times faster than Append, for
// it takes for granted that nothing of the day is there: the error of a day that
// is stored already is about its keys, and then nothing changed. The
// partitions must be there. Windows are stored as the server's, whatever they
// say. A Store loads one day at a time.
//
// A day that is not over may be loaded up to a full hour; what is appended
// later makes its sums due.
func (s *Store) LoadDay(ctx context.Context, id target.ID, day LoadedDay) error {
	if len(day.Windows) == 0 {
		return nil
	}
	rows, err := s.loadedRollups(ctx, id, &day)
	if err == nil {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return loadDay(ctx, tx, id, &day, rows) })
	}
	if err != nil {
		return fmt.Errorf("load a day of server %d: %w", id, statsdb.Classify(err))
	}
	return nil
}

func loadDay(ctx context.Context, tx pgx.Tx, id target.ID, day *LoadedDay, rows []rollup.Row) error {
	cadence := int32(day.Windows[0].Cadence / time.Millisecond)
	// Millions of samples take longer than an answer may.
	if _, err := tx.Exec(ctx, "set local statement_timeout = 0"); err != nil {
		return err
	}
	if err := copyInto(ctx, tx, "session "+sessionInto, day.Sessions, func(p *params, e *sample.SessionEntry) { p.session(id, e) }); err != nil {
		return err
	}
	if err := copyInto(ctx, tx, "activity_window "+windowInto, day.Windows, func(p *params, w *sample.Window) {
		one := *w
		one.Server = id
		p.window(&one)
	}); err != nil {
		return err
	}
	minutes := slices.DeleteFunc(slices.Clone(day.Minutes), func(m sample.Minute) bool { return m.Planned == 0 })
	if err := copyInto(ctx, tx, "activity_minute (server_id, minute"+ledgerInto, minutes, func(p *params, m *sample.Minute) {
		p.int8(int64(id))
		p.time(m.Start)
		p.int4(cadence)
		p.ledger(m, p.int4)
	}); err != nil {
		return err
	}
	for _, step := range []time.Duration{rollup.Hour, rollup.Day} {
		if err := copyInto(ctx, tx, "activity_total (server_id, step_seconds, bucket"+ledgerInto, summedUp(minutes, step), func(p *params, m *sample.Minute) {
			p.int8(int64(id))
			p.int4(seconds(step))
			p.time(m.Start)
			p.int4(cadence)
			p.ledger(m, func(n int32) { p.int8(int64(n)) })
		}); err != nil {
			return err
		}
	}
	return copyInto(ctx, tx, `activity_rollup (server_id, step_seconds, dimension, bucket, ticks, samples, keys, key_samples, key_peaks,
       tail_keys, tail_samples)`, rows, func(p *params, r *rollup.Row) {
		p.int8(int64(id))
		p.int4(seconds(r.Step))
		p.int2(int16(r.Dimension))
		p.time(r.Bucket)
		p.int4(r.Ticks)
		p.int8(r.Samples)
		p.int4s(r.Keys, false)
		p.int8s(r.KeySamples)
		p.int4s(r.KeyPeaks, false)
		p.int4(r.TailKeys)
		p.int8(r.TailSamples)
	})
}

// ledgerInto are the columns of a minute after its key.
const ledgerInto = `, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped, max_sessions, max_backends,
       samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction)`

// ledger adds the values of ledgerInto after cadence_ms; samples are added by
// count.
func (p *params) ledger(m *sample.Minute, count func(int32)) {
	p.int4(m.Planned)
	for _, n := range m.Outcomes {
		p.int4(n)
	}
	p.int4(m.MaxSessions)
	orNull(p, m.MaxBackends, sample.Unset, p.int4)
	count(m.Samples)
	for _, n := range m.Classes {
		count(n)
	}
}

// summedUp sums minutes, which are in the order of time, up by a longer step.
func summedUp(minutes []sample.Minute, step time.Duration) []sample.Minute {
	var sums []sample.Minute
	for _, m := range minutes {
		bucket := history.Floor(m.Start, step)
		if n := len(sums); n == 0 || !sums[n-1].Start.Equal(bucket) {
			sums = append(sums, sample.Minute{Start: bucket, MaxBackends: sample.Unset})
		}
		sum := &sums[len(sums)-1]
		sum.Planned += m.Planned
		sum.Samples += m.Samples
		sum.MaxSessions, sum.MaxBackends = max(sum.MaxSessions, m.MaxSessions), max(sum.MaxBackends, m.MaxBackends)
		for i, n := range m.Outcomes {
			sum.Outcomes[i] += n
		}
		for i, n := range m.Classes {
			sum.Classes[i] += n
		}
	}
	return sums
}

// loadedRollups makes the rollups of a day, of all steps.
func (s *Store) loadedRollups(ctx context.Context, id target.ID, day *LoadedDay) ([]rollup.Row, error) {
	s.rolls.mu.Lock()
	defer s.rolls.mu.Unlock()
	texts := newLabelTexts()
	labels := make(map[int32]rollup.Labels, len(day.Sessions))
	for i := range day.Sessions {
		labels[day.Sessions[i].ID] = texts.ofEntry(&day.Sessions[i])
	}
	var (
		all    []rollup.Row
		bucket time.Time
		f      = &s.rolls.folder
	)
	end := func() error {
		rows := f.Rows()
		all = append(all, rows...)
		return s.named(ctx, dueBucket{server: id, step: rollup.TenMinutes, bucket: bucket}, texts, rows)
	}
	for i := range day.Windows {
		w := &day.Windows[i]
		if next := history.Floor(w.T0, rollup.TenMinutes); !next.Equal(bucket) {
			if !bucket.IsZero() {
				if err := end(); err != nil {
					return nil, err
				}
			}
			bucket = next
			f.Begin(bucket)
		}
		f.Add(&rollup.Window{
			T0: w.T0, SpanMS: int32(w.Span / time.Millisecond), Offset: w.TickOffset, Outcome: w.TickOutcome,
			Tick: w.Tick, Session: w.Session, Wait: w.Wait, Query: w.Query,
		}, labels)
	}
	if err := end(); err != nil {
		return nil, err
	}
	all = append(all, mergedRows(all, rollup.TenMinutes, rollup.Hour)...)
	return append(all, mergedRows(all, rollup.Hour, rollup.Day)...), nil
}

// mergedRows sums the rows of a step up by a longer one.
func mergedRows(rows []rollup.Row, from, to time.Duration) (merged []rollup.Row) {
	type place struct {
		dimension rollup.Dimension
		bucket    int64
	}
	parts := make(map[place][]rollup.Row)
	var order []place
	for _, r := range rows {
		if r.Step != from {
			continue
		}
		at := place{r.Dimension, history.Floor(r.Bucket, to).Unix()}
		if parts[at] == nil {
			order = append(order, at)
		}
		parts[at] = append(parts[at], r)
	}
	for _, at := range order {
		merged = append(merged, rollup.Merge(to, time.Unix(at.bucket, 0).UTC(), parts[at]))
	}
	return merged
}

// copyInto writes rows by COPY in its binary form; into is a table of the schema
// history with its columns, which values adds.
func copyInto[T any](ctx context.Context, tx pgx.Tx, into string, rows []T, values func(*params, *T)) error {
	if len(rows) == 0 {
		return nil
	}
	from := &copyReader[T]{rows: rows, values: values, out: []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")}
	_, err := tx.Conn().PgConn().CopyFrom(ctx, from, "/* pgam:load */ copy history."+into+" from stdin (format binary)")
	return err
}

// copyReader writes rows down as they are read.
type copyReader[T any] struct {
	rows   []T
	values func(*params, *T)
	p      params
	out    []byte // what is written, from at on
	at     int
	ended  bool
}

// Read implements io.Reader.
func (r *copyReader[T]) Read(to []byte) (int, error) {
	for r.at == len(r.out) {
		if r.ended {
			return 0, io.EOF
		}
		r.out, r.at = r.out[:0], 0
		if len(r.rows) == 0 {
			r.out, r.ended = append(r.out, 0xff, 0xff), true
			break
		}
		r.row(&r.rows[0])
		r.rows = r.rows[1:]
	}
	n := copy(to, r.out[r.at:])
	r.at += n
	return n, nil
}

func (r *copyReader[T]) row(row *T) {
	r.p.reset()
	r.values(&r.p, row)
	list := r.p.list()
	r.out = binary.BigEndian.AppendUint16(r.out, uint16(len(list)))
	for _, v := range list {
		if v == nil {
			r.out = append(r.out, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		r.out = append(binary.BigEndian.AppendUint32(r.out, uint32(len(v))), v...)
	}
}

// NotePacked says that the days from one up to another are packed, whose windows
// were loaded as long as Pack would make them.
func (s *Store) NotePacked(ctx context.Context, from, to time.Time) error {
	for day := history.Floor(from, 24*time.Hour); day.Before(to); day = day.AddDate(0, 0, 1) {
		table := inHistory(windowPartitions().name(day))
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "set local statement_timeout = '"+packLimit+"'"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `/* pgam:load */
insert into history.packed_day (day, packed_at, windows, rows, samples, bytes_before, bytes_after)
select $1, now(), count(*), count(*), coalesce(sum(samples), 0), pg_catalog.pg_total_relation_size($2::text::regclass),
       pg_catalog.pg_total_relation_size($2::text::regclass)
  from `+table+`
on conflict (day) do nothing`, day, table)
			return err
		})
		if err != nil {
			return fmt.Errorf("note that %s is packed: %w", day.Format(time.DateOnly), statsdb.Classify(err))
		}
	}
	return nil
}
