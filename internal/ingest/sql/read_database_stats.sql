/* pgam:compact */
-- The rows of a server in a stretch of time, and of each database the one before
-- and the one after, which reach into it. What is not in the inventory is found by
-- its rows.
with given as materialized (
select s.*
  from history.database_stat s
 where s.server_id = @server_id
   and s.planned_at >= @from
   and s.planned_at < @to
),
known as materialized (
select d.oid from history.database d where d.server_id = @server_id
 union
select g.database_oid from given g
 union
select 0
)
select r.database_oid, r.planned_at, r.sampled_at, r.previous_at, r.instance, r.numbackends, r.stats_reset,
       r.checksum_last_failure, r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched,
       r.tup_inserted, r.tup_updated, r.tup_deleted, r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.checksum_failures,
       r.sessions, r.sessions_abandoned, r.sessions_fatal, r.sessions_killed, r.parallel_workers_to_launch,
       r.parallel_workers_launched, r.blk_read_time_ms, r.blk_write_time_ms, r.session_time_ms, r.active_time_ms,
       r.idle_in_transaction_time_ms
  from (select g.* from given g
         union all
        select b.*
          from known k
         cross join lateral (
               select s.*
                 from history.database_stat s
                where s.server_id = @server_id
                  and s.database_oid = k.oid
                  and s.planned_at < @from
                  and s.planned_at >= @from::timestamptz - interval '1 day'
                order by s.planned_at desc
                limit 1) b
         union all
        select a.*
          from known k
         cross join lateral (
               select s.*
                 from history.database_stat s
                where s.server_id = @server_id
                  and s.database_oid = k.oid
                  and s.planned_at >= @to
                  and s.planned_at <= @to::timestamptz + interval '1 day'
                order by s.planned_at
                limit 1) a) r
 order by r.database_oid, r.planned_at
