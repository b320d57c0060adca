package store

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
)

const (
	// windowInto are the columns of the first 25 parameters of a window.
	windowInto = `(server_id, t0, span_ms, cadence_ms, samples, xid_base,
       tick_offset_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms,
       sample_xact_lead_ms, sample_state_lag_ms, sample_xmin_age, sample_blocker,
       tick_burst, edge_tick, edge_blocked, edge_blocker, edge_lock)`
	windowParameters = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25`
)

// lateWindow counts what comes to a day that may be packed by now.
const lateWindow = `late as (
update history.packed_day d
   set late = d.late + 1
  from w
 where d.day = (w.t0 at time zone 'UTC')::date),
`

// insertLateWindow is for windows that others may have written too, or whose day
// may be packed: unlessStored has seen to it that no second is stored twice.
func insertLateWindow() string { return insertWindow(lateWindow) }

// insertWindow stores a window and, only with it, adds to its minute, makes its
// buckets due, and does what else is given.
func insertWindow(more string) string {
	return `/* pgam:append */
with w as (
insert into history.activity_window ` + windowInto + `
values (` + windowParameters + `)
on conflict (server_id, t0) do nothing
returning server_id, t0, cadence_ms),
` + more + `due as (
insert into history.rollup_due as r (server_id, step_seconds, bucket, revision)
select w.server_id, 600, date_bin('10 minutes', w.t0, timestamptz 'epoch'), 1
  from w
on conflict (server_id, step_seconds, bucket) do update
   set revision = r.revision + 1)
insert into history.activity_minute as m (server_id, minute, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, samples, max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other,
       idle_in_transaction)
select w.server_id, $26, w.cadence_ms, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45
  from w
on conflict (server_id, minute) do update
   set cadence_ms = excluded.cadence_ms,
       ticks_planned = m.ticks_planned + excluded.ticks_planned,
       ticks_ok = m.ticks_ok + excluded.ticks_ok,
       ticks_degraded = m.ticks_degraded + excluded.ticks_degraded,
       ticks_failed = m.ticks_failed + excluded.ticks_failed,
       ticks_skipped = m.ticks_skipped + excluded.ticks_skipped,
       samples = m.samples + excluded.samples,
       max_sessions = greatest(m.max_sessions, excluded.max_sessions),
       max_backends = greatest(m.max_backends, excluded.max_backends),
       cpu = m.cpu + excluded.cpu,
       lock = m.lock + excluded.lock,
       lwlock = m.lwlock + excluded.lwlock,
       io = m.io + excluded.io,
       ipc = m.ipc + excluded.ipc,
       client = m.client + excluded.client,
       timeout = m.timeout + excluded.timeout,
       buffer = m.buffer + excluded.buffer,
       extension = m.extension + excluded.extension,
       other = m.other + excluded.other,
       idle_in_transaction = m.idle_in_transaction + excluded.idle_in_transaction`
}

// lateAfter is the age from which a window's day may be packed, or be packed
// while it is written: an hour less than a day must have been over.
const lateAfter = packAfter - time.Hour

func (w *writer) window(n *sample.Window) {
	p := &w.p
	p.window(n)
	m := &n.Minute
	p.time(m.Start)
	p.int4(m.Planned)
	for _, v := range m.Outcomes {
		p.int4(v)
	}
	p.int4(m.Samples)
	p.int4(m.MaxSessions)
	orNull(p, m.MaxBackends, sample.Unset, p.int4)
	for _, v := range m.Classes {
		p.int4(v)
	}
	if w.late(n) {
		w.send("pgam_window_late")
		return
	}
	w.send("pgam_window")
}

// late says whether what the window holds may be stored already, in another row:
// its day may be packed by now, or another collector, or an earlier run by a clock
// that was ahead, may have seen those seconds too.
func (w *writer) late(n *sample.Window) bool {
	return time.Since(n.T0) > lateAfter || n.T0.Before(w.alone)
}

// window adds windowParameters.
func (p *params) window(n *sample.Window) {
	p.int8(int64(n.Server))
	p.time(n.T0)
	p.int4(int32(n.Span.Milliseconds()))
	p.int4(int32(n.Cadence.Milliseconds()))
	p.int4(int32(len(n.Tick)))
	orNull(p, n.XIDBase, 0, p.int8)
	p.int4s(n.TickOffset, false)
	p.int2s(n.TickOutcome, true)
	p.int2s(n.TickReason, true)
	p.int4s(n.TickDuration, false)
	p.int4s(n.TickBackends, false)
	p.int2s(n.Tick, false)
	p.int4s(n.Session, false)
	p.int2s(n.Wait, false)
	p.int4s(n.Query, false)
	p.int4s(n.QueryStart, false)
	p.int4s(n.XactLead, false)
	p.int4s(n.StateLag, true)
	p.int4s(n.XminAge, true)
	p.int4s(n.Blocker, true)
	p.bools(n.TickBurst)
	p.int2s(n.EdgeTick, true)
	p.int4s(n.EdgeBlocked, true)
	p.int4s(n.EdgeBlocker, true)
	p.int4s(n.EdgeLock, true)
}
