package store

import (
	"context"
	"time"

	"github.com/pgam/pgam/internal/rollup"
)

// A bucket is written by one statement, which does nothing unless it gets hold
// of the row that says it is due, at the revision that was read before what it
// is made of: it never waits for a writer of windows, and makes one wait for
// no more than itself. A row that was made of more ticks stays: windows may have
// expired since.
const (
	rolledRows = `/* pgam:roll */
with mine as materialized (
select d.server_id, d.step_seconds, d.bucket
  from history.rollup_due d
 where d.server_id = $1
   and d.step_seconds = $2
   and d.bucket = $3
   and d.revision = $4
   for update skip locked),
made as (
insert into history.activity_rollup as r (server_id, step_seconds, dimension, bucket, ticks, samples, keys, key_samples, key_peaks,
       tail_keys, tail_samples)
select m.server_id, n.step_seconds, n.dimension, n.bucket, n.ticks, n.samples, ($15::int4[])[n.first:n.last], ($16::int8[])[n.first:n.last],
       ($17::int4[])[n.first:n.last], n.tail_keys, n.tail_samples
  from mine m
 cross join unnest($6::int4[], $7::int2[], $8::timestamptz[], $9::int4[], $10::int8[], $11::int4[], $12::int4[], $13::int4[], $14::int8[])
       as n (step_seconds, dimension, bucket, ticks, samples, first, last, tail_keys, tail_samples)
on conflict (server_id, step_seconds, dimension, bucket) do update
   set ticks = excluded.ticks,
       samples = excluded.samples,
       keys = excluded.keys,
       key_samples = excluded.key_samples,
       key_peaks = excluded.key_peaks,
       tail_keys = excluded.tail_keys,
       tail_samples = excluded.tail_samples
 where excluded.ticks >= r.ticks),
coarser as (
insert into history.rollup_due as r (server_id, step_seconds, bucket, revision)
select m.server_id, $5::int4, date_bin($5::int4 * interval '1 second', m.bucket, timestamptz 'epoch'), 1
  from mine m
 where $5::int4 > 0
on conflict (server_id, step_seconds, bucket) do update
   set revision = r.revision + 1)`
	rolledDone = `
delete from history.rollup_due d
 using mine m
 where d.server_id = m.server_id
   and d.step_seconds = m.step_seconds
   and d.bucket = m.bucket
returning 1`
	insertTotal = `,
total as (
insert into history.activity_total as t (server_id, step_seconds, bucket, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, samples, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions,
       max_backends)
select m.server_id, m.step_seconds, m.bucket, n.cadence_ms, n.ticks_planned, n.ticks_ok, n.ticks_degraded, n.ticks_failed, n.ticks_skipped,
       n.samples, n.cpu, n.lock, n.lwlock, n.io, n.ipc, n.client, n.timeout, n.buffer, n.extension, n.other, n.idle_in_transaction,
       n.max_sessions, n.max_backends
  from mine m
 cross join lateral (
       select min(f.cadence_ms) as cadence_ms, sum(f.ticks_planned)::int4 as ticks_planned, sum(f.ticks_ok)::int4 as ticks_ok,
              sum(f.ticks_degraded)::int4 as ticks_degraded, sum(f.ticks_failed)::int4 as ticks_failed,
              sum(f.ticks_skipped)::int4 as ticks_skipped, sum(f.samples)::int8 as samples, sum(f.cpu)::int8 as cpu,
              sum(f.lock)::int8 as lock, sum(f.lwlock)::int8 as lwlock, sum(f.io)::int8 as io, sum(f.ipc)::int8 as ipc,
              sum(f.client)::int8 as client, sum(f.timeout)::int8 as timeout, sum(f.buffer)::int8 as buffer,
              sum(f.extension)::int8 as extension, sum(f.other)::int8 as other,
              sum(f.idle_in_transaction)::int8 as idle_in_transaction, max(f.max_sessions) as max_sessions,
              max(f.max_backends) as max_backends`
	fromMinutes = `
         from history.activity_minute f
        where f.server_id = $1
          and f.minute >= $3
          and f.minute < $3::timestamptz + interval '1 hour'`
	fromHours = `
         from history.activity_total f
        where f.server_id = $1
          and f.step_seconds = 3600
          and f.bucket >= $3
          and f.bucket < $3::timestamptz + interval '1 day'`
	growTotal = `) n
 where n.ticks_planned > 0
on conflict (server_id, step_seconds, bucket) do update
   set cadence_ms = excluded.cadence_ms,
       ticks_planned = excluded.ticks_planned,
       ticks_ok = excluded.ticks_ok,
       ticks_degraded = excluded.ticks_degraded,
       ticks_failed = excluded.ticks_failed,
       ticks_skipped = excluded.ticks_skipped,
       samples = excluded.samples,
       cpu = excluded.cpu,
       lock = excluded.lock,
       lwlock = excluded.lwlock,
       io = excluded.io,
       ipc = excluded.ipc,
       client = excluded.client,
       timeout = excluded.timeout,
       buffer = excluded.buffer,
       extension = excluded.extension,
       other = excluded.other,
       idle_in_transaction = excluded.idle_in_transaction,
       max_sessions = excluded.max_sessions,
       max_backends = excluded.max_backends
 where excluded.ticks_planned >= t.ticks_planned)`
)

// writeRolled stores what was made of a bucket and takes it from what is due.
// Without any source it is only taken away. done is false if something came
// meanwhile, or is just coming.
func (s *Store) writeRolled(ctx context.Context, d dueBucket, rows []rollup.Row, source bool) (done bool, err error) {
	q := question{name: "pgam_roll_ten_minutes", sql: rolledRows + rolledDone}
	switch d.step {
	case rollup.Hour:
		q = question{name: "pgam_roll_hour", sql: rolledRows + insertTotal + fromMinutes + growTotal + rolledDone}
	case rollup.Day:
		q = question{name: "pgam_roll_day", sql: rolledRows + insertTotal + fromHours + growTotal + rolledDone}
	default:
	}
	q.args = func(p *params) {
		p.int8(int64(d.server))
		p.int4(seconds(d.step))
		p.time(d.bucket)
		p.int4(d.revision)
		if source {
			p.int4(seconds(d.coarser()))
		} else {
			p.int4(0)
		}
		rolledArrays(p, rows)
	}
	q.row = func(values) { done = true }
	return done, s.ask(ctx, q)
}

func seconds(d time.Duration) int32 { return int32(d / time.Second) }

// rolledArrays adds the rows as arrays; the keys of all rows are in one, of
// which each row has a part.
func rolledArrays(p *params, rows []rollup.Row) {
	column(p, oidInt4, rows, func(r *rollup.Row) { p.four(uint32(seconds(r.Step))) })
	column(p, oidInt2, rows, func(r *rollup.Row) { p.two(uint16(r.Dimension)) })
	column(p, oidTimestamptz, rows, func(r *rollup.Row) { p.instant(r.Bucket.UnixMicro()) })
	column(p, oidInt4, rows, func(r *rollup.Row) { p.four(uint32(r.Ticks)) })
	column(p, oidInt8, rows, func(r *rollup.Row) { p.eight(uint64(r.Samples)) })
	first, last := uint32(1), uint32(0)
	column(p, oidInt4, rows, func(r *rollup.Row) { p.four(first); first += uint32(len(r.Keys)) })
	column(p, oidInt4, rows, func(r *rollup.Row) { last += uint32(len(r.Keys)); p.four(last) })
	column(p, oidInt4, rows, func(r *rollup.Row) { p.four(uint32(r.TailKeys)) })
	column(p, oidInt8, rows, func(r *rollup.Row) { p.eight(uint64(r.TailSamples)) })
	var (
		keys, peaks []int32
		samples     []int64
	)
	for i := range rows {
		keys, samples, peaks = append(keys, rows[i].Keys...), append(samples, rows[i].KeySamples...), append(peaks, rows[i].KeyPeaks...)
	}
	p.int4s(keys, false)
	p.int8s(samples)
	p.int4s(peaks, false)
}
