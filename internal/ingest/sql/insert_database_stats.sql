/* pgam:flush */
-- Who looked at the same second later has seen more: what it leaves out next is
-- what it saw then.
insert into history.database_stat as s (
       server_id, database_oid, planned_at, sampled_at, previous_at, instance, numbackends, stats_reset, checksum_last_failure, xact_commit,
       xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts,
       temp_files, temp_bytes, deadlocks, checksum_failures, sessions, sessions_abandoned, sessions_fatal, sessions_killed,
       parallel_workers_to_launch, parallel_workers_launched, blk_read_time_ms, blk_write_time_ms, session_time_ms,
       active_time_ms, idle_in_transaction_time_ms)
select @server_id, n.database_oid, n.planned_at, n.sampled_at, n.previous_at, n.instance, n.numbackends, n.stats_reset,
       n.checksum_last_failure, n.xact_commit, n.xact_rollback, n.blks_read, n.blks_hit, n.tup_returned, n.tup_fetched,
       n.tup_inserted, n.tup_updated, n.tup_deleted, n.conflicts, n.temp_files, n.temp_bytes, n.deadlocks, n.checksum_failures,
       n.sessions, n.sessions_abandoned, n.sessions_fatal, n.sessions_killed, n.parallel_workers_to_launch,
       n.parallel_workers_launched, n.blk_read_time_ms, n.blk_write_time_ms, n.session_time_ms, n.active_time_ms,
       n.idle_in_transaction_time_ms
  from unnest(
       @database_oid::oid[], @planned_at::timestamptz[], @sampled_at::timestamptz[], @previous_at::timestamptz[],
       @instance::bigint[], @numbackends::integer[], @stats_reset::timestamptz[], @checksum_last_failure::timestamptz[],
       @xact_commit::bigint[], @xact_rollback::bigint[], @blks_read::bigint[], @blks_hit::bigint[], @tup_returned::bigint[],
       @tup_fetched::bigint[], @tup_inserted::bigint[], @tup_updated::bigint[], @tup_deleted::bigint[], @conflicts::bigint[],
       @temp_files::bigint[], @temp_bytes::bigint[], @deadlocks::bigint[], @checksum_failures::bigint[], @sessions::bigint[],
       @sessions_abandoned::bigint[], @sessions_fatal::bigint[], @sessions_killed::bigint[],
       @parallel_workers_to_launch::bigint[], @parallel_workers_launched::bigint[], @blk_read_time_ms::double precision[],
       @blk_write_time_ms::double precision[], @session_time_ms::double precision[], @active_time_ms::double precision[],
       @idle_in_transaction_time_ms::double precision[])
       as n (database_oid, planned_at, sampled_at, previous_at, instance, numbackends, stats_reset, checksum_last_failure, xact_commit,
       xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts,
       temp_files, temp_bytes, deadlocks, checksum_failures, sessions, sessions_abandoned, sessions_fatal, sessions_killed,
       parallel_workers_to_launch, parallel_workers_launched, blk_read_time_ms, blk_write_time_ms, session_time_ms,
       active_time_ms, idle_in_transaction_time_ms)
on conflict (server_id, database_oid, planned_at) do update
   set sampled_at = excluded.sampled_at,
       previous_at = excluded.previous_at,
       instance = excluded.instance,
       numbackends = excluded.numbackends,
       stats_reset = excluded.stats_reset,
       checksum_last_failure = excluded.checksum_last_failure,
       xact_commit = excluded.xact_commit,
       xact_rollback = excluded.xact_rollback,
       blks_read = excluded.blks_read,
       blks_hit = excluded.blks_hit,
       tup_returned = excluded.tup_returned,
       tup_fetched = excluded.tup_fetched,
       tup_inserted = excluded.tup_inserted,
       tup_updated = excluded.tup_updated,
       tup_deleted = excluded.tup_deleted,
       conflicts = excluded.conflicts,
       temp_files = excluded.temp_files,
       temp_bytes = excluded.temp_bytes,
       deadlocks = excluded.deadlocks,
       checksum_failures = excluded.checksum_failures,
       sessions = excluded.sessions,
       sessions_abandoned = excluded.sessions_abandoned,
       sessions_fatal = excluded.sessions_fatal,
       sessions_killed = excluded.sessions_killed,
       parallel_workers_to_launch = excluded.parallel_workers_to_launch,
       parallel_workers_launched = excluded.parallel_workers_launched,
       blk_read_time_ms = excluded.blk_read_time_ms,
       blk_write_time_ms = excluded.blk_write_time_ms,
       session_time_ms = excluded.session_time_ms,
       active_time_ms = excluded.active_time_ms,
       idle_in_transaction_time_ms = excluded.idle_in_transaction_time_ms
 where s.sampled_at < excluded.sampled_at
