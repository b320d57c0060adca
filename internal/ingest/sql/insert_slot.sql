/* pgam:flush */
-- A row of a bucket that is compacted already is late: nobody looks at it before it
-- is merged in.
insert into history.activity_recent (
       server_id, slot, first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed,
       ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason, fault_ticks,
       samples, max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other,
       idle_in_transaction, tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us,
       tick_backends, tick_next_xid, tick_burst, tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms, sample_state_lag_ms,
       sample_xmin, sample_blocker, edge_tick, edge_blocked, edge_blocker, edge_lock, late)
values (
       @server_id, @slot, @first_planned_ms, @last_planned_ms, @first_cadence_ms, @cadence_ms, @ticks_ok, @ticks_degraded,
       @ticks_failed, @ticks_skipped, @ticks_missing, @first_seen_ms, @last_seen_ms, @longest_gap_ms, @fault_outcome,
       @fault_reason, @fault_ticks, @samples, @max_sessions, @max_backends, @cpu, @lock, @lwlock, @io, @ipc, @client, @timeout,
       @buffer, @extension, @other, @idle_in_transaction, @tick_planned_ms, @tick_delay_ms, @tick_cadence_ms, @tick_outcome,
       @tick_reason, @tick_duration_us, @tick_backends, @tick_next_xid, @tick_burst, @tick_edges_cut, @session_keys, @wait_keys,
       @wait_class, @query_keys, @lock_keys, @sample_tick, @sample_session, @sample_wait, @sample_query, @sample_query_start_ms,
       @sample_xact_lead_ms, @sample_state_lag_ms, @sample_xmin, @sample_blocker, @edge_tick, @edge_blocked, @edge_blocker,
       @edge_lock,
       exists (select from history.activity a where a.server_id = @server_id and a.bucket = date_bin('10 minutes', @slot, timestamptz 'epoch')))
