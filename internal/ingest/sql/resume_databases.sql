/* pgam:resume */
-- The newest row of each database since the server is what it is: resets of
-- statistics are told against them. What ended earlier than the others was dropped.
select distinct on (r.database_oid)
       r.database_oid, r.planned_at, r.sampled_at, r.previous_at, r.instance, r.numbackends, r.stats_reset,
       r.checksum_last_failure, r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched,
       r.tup_inserted, r.tup_updated, r.tup_deleted, r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.checksum_failures,
       r.sessions, r.sessions_abandoned, r.sessions_fatal, r.sessions_killed, r.parallel_workers_to_launch,
       r.parallel_workers_launched, r.blk_read_time_ms, r.blk_write_time_ms, r.session_time_ms, r.active_time_ms,
       r.idle_in_transaction_time_ms
  from history.database_stat r
 where r.server_id = @server_id
   and r.planned_at > now() - interval '35 days'
   and r.planned_at >= (select max(n.planned_at) - interval '6 minutes'
                          from history.database_stat n
                         where n.server_id = @server_id
                           and n.planned_at > now() - interval '35 days')
   and r.sampled_at >= (select max(i.since) from history.server_identity i where i.server_id = @server_id)
 order by r.database_oid, r.planned_at desc
