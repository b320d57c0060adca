/* pgam:databases */
-- The rows of some databases in a stretch of time, and of each the one before and
-- the one after, which reach into it.
select r.database_oid, r.planned_at, r.sampled_at, r.previous_at, r.instance, r.numbackends, r.stats_reset, r.xact_commit,
       r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched, r.tup_inserted, r.tup_updated, r.tup_deleted,
       r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.checksum_failures, r.sessions, r.sessions_abandoned,
       r.sessions_fatal, r.sessions_killed, r.parallel_workers_to_launch, r.parallel_workers_launched
  from unnest(@oids::oid[]) as k (oid)
 cross join lateral (
       (select b.*
          from history.database_stat b
         where b.server_id = @server_id
           and b.database_oid = k.oid
           and b.planned_at < @from
           and b.planned_at >= @from::timestamptz - interval '1 day'
         order by b.planned_at desc
         limit 1)
         union all
        select s.*
          from history.database_stat s
         where s.server_id = @server_id
           and s.database_oid = k.oid
           and s.planned_at >= @from
           and s.planned_at < @to
         union all
       (select a.*
          from history.database_stat a
         where a.server_id = @server_id
           and a.database_oid = k.oid
           and a.planned_at >= @to
           and a.planned_at <= @to::timestamptz + interval '1 day'
         order by a.planned_at
         limit 1)) r
 order by r.database_oid, r.planned_at
