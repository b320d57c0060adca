/* pgam:compact */
select part, tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends, tick_next_xid,
       tick_burst, tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys, sample_tick, sample_session,
       sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms, sample_state_lag_ms, sample_xmin, sample_blocker,
       edge_tick, edge_blocked, edge_blocker, edge_lock
  from history.activity
 where server_id = @server_id
   and bucket = @bucket
   and part = any (@parts)
 order by part
