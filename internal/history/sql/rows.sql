/* pgam:rows */
-- Rows of samples with ticks in some ranges, in the order of time: the parts of a
-- bucket that is compacted, the recent rows of any other. A column that is not
-- asked for is not fetched either, nor are samples and edges of rows without the
-- sessions that it is about.
select r.lo, r.hi, n.bucket,
       n.tick_planned_ms, n.tick_delay_ms, n.tick_cadence_ms, n.tick_outcome, n.tick_reason, n.tick_duration_us,
       n.tick_backends, n.tick_next_xid, n.tick_burst, n.tick_edges_cut,
       case when w.found and (@samples or @edges) then n.session_keys end, case when w.found and @samples then n.wait_keys end,
       case when w.found and @samples then n.wait_class end, case when w.found and @samples then n.query_keys end,
       case when w.found and @edges then n.lock_keys end, case when w.found and @samples then n.sample_tick end,
       case when w.found and @samples then n.sample_session end, case when w.found and @samples then n.sample_wait end,
       case when w.found and @samples then n.sample_query end, case when w.found and @whole then n.sample_query_start_ms end,
       case when w.found and @whole then n.sample_xact_lead_ms end, case when w.found and @whole then n.sample_state_lag_ms end,
       case when w.found and @whole then n.sample_xmin end, case when w.found and @whole then n.sample_blocker end,
       case when w.found and @edges then n.edge_tick end, case when w.found and @edges then n.edge_blocked end,
       case when w.found and @edges then n.edge_blocker end, case when w.found and @edges then n.edge_lock end
  from unnest(@from::timestamptz[], @to::timestamptz[]) as r (lo, hi)
 cross join lateral (
select a.bucket,
       tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends,
       tick_next_xid, tick_burst, tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms,
       sample_state_lag_ms, sample_xmin, sample_blocker, edge_tick, edge_blocked, edge_blocker, edge_lock
  from history.activity a
 where a.server_id = @server_id
   and a.bucket > r.lo - interval '10 minutes'
   and a.bucket < r.hi
   and a.bucket > @first::timestamptz - interval '10 minutes'
   and a.bucket < @last::timestamptz
   -- a part that does not say where it begins is read, so that it is noticed
   and (a.bucket + a.tick_planned_ms[1] * interval '1 millisecond' < r.hi) is not false
   and (a.bucket + a.tick_planned_ms[cardinality(a.tick_planned_ms)] * interval '1 millisecond' >= r.lo) is not false
 union all
select date_bin('10 minutes', s.slot, timestamptz 'epoch'),
       tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends,
       tick_next_xid, tick_burst, tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms,
       sample_state_lag_ms, sample_xmin, sample_blocker, edge_tick, edge_blocked, edge_blocker, edge_lock
  from history.activity_recent s
 where s.server_id = @server_id
   and s.slot > r.lo - interval '15 seconds'
   and s.slot < r.hi
   and not s.late) n
 cross join lateral (
select @only::bigint[] is null or n.session_keys && @only::bigint[] as found
offset 0) w
 order by r.lo, n.bucket, n.tick_planned_ms[1]
