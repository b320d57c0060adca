/* pgam:sums */
-- What is stored of some stretches in numbers, in the order of time: by minute what
-- is compacted, and the slots of what is not.
select n.start,
       n.first_planned_ms, n.last_planned_ms, n.first_cadence_ms, n.cadence_ms, n.ticks_ok, n.ticks_degraded,
       n.ticks_failed, n.ticks_skipped, n.ticks_missing, n.first_seen_ms, n.last_seen_ms, n.longest_gap_ms,
       n.fault_outcome, n.fault_reason, n.fault_ticks, n.samples, n.max_sessions, n.max_backends
  from unnest(@step::integer[], @from::timestamptz[], @to::timestamptz[]) as r (step, lo, hi)
 cross join lateral (
select t.bucket as start,
       first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason,
       fault_ticks, samples, max_sessions, max_backends
  from history.activity_total t
 where t.server_id = @server_id
   and t.step_seconds = r.step
   and t.bucket >= r.lo
   and t.bucket < r.hi
 union all
select m.minute,
       first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason,
       fault_ticks, samples, max_sessions, max_backends
  from history.activity_minute m
 where r.step = 60
   and m.server_id = @server_id
   and m.minute >= r.lo
   and m.minute < r.hi
 union all
select s.slot,
       first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason,
       fault_ticks, samples, max_sessions, max_backends
  from history.activity_recent s
 where r.step = 60
   and s.server_id = @server_id
   and s.slot >= r.lo
   and s.slot < r.hi
   and not s.late) n
 order by n.start
