/* pgam:databases */
-- The rows of a database in a stretch of time, and the one before and the one
-- after, which reach into it: all by the key, and in its order.
select s.database_oid, s.planned_at, s.sampled_at, s.previous_at, s.instance, s.numbackends, s.stats_reset, s.xact_commit,
       s.xact_rollback, s.blks_read, s.blks_hit, s.tup_returned, s.tup_fetched, s.tup_inserted, s.tup_updated, s.tup_deleted,
       s.conflicts, s.temp_files, s.temp_bytes, s.deadlocks, s.checksum_failures, s.sessions, s.sessions_abandoned,
       s.sessions_fatal, s.sessions_killed, s.parallel_workers_to_launch, s.parallel_workers_launched
  from history.database_stat s
 where s.server_id = @server_id
   and s.database_oid = @oid
   and s.planned_at >= coalesce(
       (select b.planned_at
          from history.database_stat b
         where b.server_id = @server_id
           and b.database_oid = @oid
           and b.planned_at < @from
           and b.planned_at >= @from::timestamptz - interval '1 day'
         order by b.planned_at desc
         limit 1), @from)
   and s.planned_at <= coalesce(
       (select a.planned_at
          from history.database_stat a
         where a.server_id = @server_id
           and a.database_oid = @oid
           and a.planned_at >= @to
           and a.planned_at <= @to::timestamptz + interval '1 day'
         order by a.planned_at
         limit 1), @to)
 order by s.planned_at
