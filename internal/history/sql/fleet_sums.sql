/* pgam:fleet */
-- The newest minutes of each server in numbers, and the slots of what is not
-- compacted, in the order of time.
select s.id, n.start,
       n.first_planned_ms, n.last_planned_ms, n.first_cadence_ms, n.cadence_ms, n.ticks_ok, n.ticks_degraded,
       n.ticks_failed, n.ticks_skipped, n.ticks_missing, n.first_seen_ms, n.last_seen_ms, n.longest_gap_ms,
       n.fault_outcome, n.fault_reason, n.fault_ticks, n.samples, n.max_sessions, n.max_backends, n.cpu, n.lock,
       n.lwlock, n.io, n.ipc, n.client, n.timeout, n.buffer, n.extension, n.other, n.idle_in_transaction
  from pgam.server s
 cross join lateral (
select m.minute as start,
       first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason,
       fault_ticks, samples, max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension,
       other, idle_in_transaction
  from history.activity_minute m
 where m.server_id = s.id
   and m.minute >= @from
   and m.minute <= @to
 union all
select q.slot,
       first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason,
       fault_ticks, samples, max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension,
       other, idle_in_transaction
  from history.activity_recent q
 where q.server_id = s.id
   and q.slot >= @from
   and q.slot <= @to
   and not q.late
offset 0) n
 where s.deleted_at is null
 order by s.id, n.start
