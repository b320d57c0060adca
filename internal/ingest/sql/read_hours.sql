/* pgam:compact */
select bucket,
       first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped,
       ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason, fault_ticks, samples,
       max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_total
 where server_id = @server_id
   and step_seconds = 3600
   and bucket >= @from
   and bucket < @to
 order by bucket
