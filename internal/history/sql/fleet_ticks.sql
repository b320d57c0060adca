/* pgam:fleet */
-- The newest row of samples of each server: a recent one, or of what is compacted
-- its ticks alone, for what they saw is a while ago.
select s.id, n.recent, n.bucket,
       n.tick_planned_ms, n.tick_delay_ms, n.tick_cadence_ms, n.tick_outcome, n.tick_reason, n.tick_duration_us,
       n.tick_backends, n.tick_next_xid, n.tick_burst, n.tick_edges_cut, n.session_keys, n.wait_keys, n.wait_class,
       n.query_keys, n.lock_keys, n.sample_tick, n.sample_session, n.sample_wait, n.sample_query,
       n.sample_query_start_ms, n.sample_xact_lead_ms, n.sample_state_lag_ms, n.sample_xmin, n.sample_blocker,
       n.edge_tick, n.edge_blocked, n.edge_blocker, n.edge_lock
  from pgam.server s
 cross join lateral (
select x.*
  from ((
select true as recent, date_bin('10 minutes', q.slot, timestamptz 'epoch') as bucket,
       tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends,
       tick_next_xid, tick_burst, tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms, sample_xact_lead_ms,
       sample_state_lag_ms, sample_xmin, sample_blocker, edge_tick, edge_blocked, edge_blocker, edge_lock
  from history.activity_recent q
 where q.server_id = s.id
   and q.slot > @from
   and q.slot <= @to
   and not q.late
 order by q.slot desc
 limit 1)
 union all (
select false, a.bucket,
       tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends,
       tick_next_xid, tick_burst, tick_edges_cut,
       null::bigint[], null::bigint[], null::smallint[], null::bigint[], null::bigint[], null::smallint[],
       null::integer[], null::smallint[], null::integer[], null::integer[], null::integer[], null::integer[],
       null::integer[], null::integer[], null::smallint[], null::integer[], null::integer[], null::integer[]
  from history.activity a
 where a.server_id = s.id
   and a.bucket > @from
   and a.bucket <= @to
 order by a.bucket desc, a.part desc
 limit 1)) x
 order by x.bucket desc
 limit 1) n
 where s.deleted_at is null
