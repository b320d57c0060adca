-- A rate is a count over the time it was counted in. Rollups say how long that
-- is, and the samples of databases in which nothing happened since the one
-- before, which are not all stored, count as time too.

alter table history.database_rollup add column counted_seconds double precision not null default 0;
update history.database_rollup set counted_seconds = seconds;
comment on table history.database_rollup is 'database_stat and database_size by hour, four hours and day (UTC), all grown with every stored sample; what was counted between two samples is shared out by time over the buckets that it touches. Partitioned by step, then time: give both';
comment on column history.database_rollup.counted_seconds is 'seconds that the counters are of; divide by it for a rate. 0: nothing was counted';

create or replace view report.database_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       n.name as database_name,
       r.backend_seconds / nullif(r.seconds, 0) as connections_average,
       r.backends_min as connections_min,
       r.backends_max as connections_max,
       r.backends_last as connections_last,
       r.size_bytes,
       r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched, r.tup_inserted, r.tup_updated,
       r.tup_deleted, r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.sessions, r.blk_read_time_ms, r.blk_write_time_ms,
       r.session_time_ms, r.active_time_ms, r.idle_in_transaction_time_ms,
       r.counted_seconds
  from history.database_rollup r
  join pgam.server s on s.id = r.server_id
  left join (
        select i.server_id, i.oid, i.name, i.first_seen_at,
               lead(i.first_seen_at) over (partition by i.server_id, i.oid order by i.first_seen_at) as next_at
          from history.database i) n
    on n.server_id = r.server_id
   and n.oid = r.database_oid
   and n.first_seen_at < r.bucket + r.step_seconds * interval '1 second'
   and (n.next_at is null or n.next_at >= r.bucket + r.step_seconds * interval '1 second');
comment on column report.database_rollup.counted_seconds is 'seconds that the counters are of; divide by it for a rate. 0: nothing was counted';

create or replace function report.database_grain("from" timestamptz, "to" timestamptz)
returns table (server text, "time" timestamptz, database_name text, seconds double precision, connections double precision, xact_commit bigint,
               xact_rollback bigint, blks_read bigint, blks_hit bigint, tup_returned bigint, tup_inserted bigint, tup_updated bigint,
               tup_deleted bigint, temp_bytes bigint, deadlocks bigint, blk_read_time_ms double precision, blk_write_time_ms double precision)
language sql stable
as $$
select d.server, d."time", d.database_name, coalesce(d.stood, d.interval_seconds), d.numbackends, d.xact_commit, d.xact_rollback, d.blks_read,
       d.blks_hit, d.tup_returned, d.tup_inserted, d.tup_updated, d.tup_deleted, d.temp_bytes, d.deadlocks, d.blk_read_time_ms, d.blk_write_time_ms
  from (select d.*,
               extract(epoch from d."time" - lag(d."time") over (partition by d.server, d.database_name, d.epoch order by d."time"))::double precision as stood
          from report.database_stat d
         where $2 - $1 <= interval '6 hours'
           and d."time" >= $1 - interval '330 seconds'
           and d."time" < $2) d
 where d."time" >= $1
 union all
select r.server, r."time", r.database_name, nullif(r.counted_seconds, 0),
       r.connections_average, r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_inserted, r.tup_updated, r.tup_deleted,
       r.temp_bytes, r.deadlocks, r.blk_read_time_ms, r.blk_write_time_ms
  from report.database_rollup r
 where $2 - $1 > interval '6 hours'
   and r.step_seconds = case when $2 - $1 <= interval '60 days' then 3600 when $2 - $1 <= interval '400 days' then 14400 else 86400 end
   and r."time" >= $1
   and r."time" < $2
$$;
comment on function report.database_grain(timestamptz, timestamptz) is 'what each database did, and the seconds that it was counted in: as sampled up to six hours, beyond that by hour, four hours or day. A rate is the sum of a counter over the sum of seconds';

---- create above / drop below ----

create or replace function report.database_grain("from" timestamptz, "to" timestamptz)
returns table (server text, "time" timestamptz, database_name text, seconds double precision, connections double precision, xact_commit bigint,
               xact_rollback bigint, blks_read bigint, blks_hit bigint, tup_returned bigint, tup_inserted bigint, tup_updated bigint,
               tup_deleted bigint, temp_bytes bigint, deadlocks bigint, blk_read_time_ms double precision, blk_write_time_ms double precision)
language sql stable
as $$
select d.server, d."time", d.database_name, d.interval_seconds, d.numbackends, d.xact_commit, d.xact_rollback, d.blks_read, d.blks_hit,
       d.tup_returned, d.tup_inserted, d.tup_updated, d.tup_deleted, d.temp_bytes, d.deadlocks, d.blk_read_time_ms, d.blk_write_time_ms
  from report.database_stat d
 where $2 - $1 <= interval '6 hours'
   and d."time" >= $1
   and d."time" < $2
 union all
select r.server, r."time", r.database_name,
       extract(epoch from least(r."time" + r.step_seconds * interval '1 second', now()) - r."time")::double precision,
       r.connections_average, r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_inserted, r.tup_updated, r.tup_deleted,
       r.temp_bytes, r.deadlocks, r.blk_read_time_ms, r.blk_write_time_ms
  from report.database_rollup r
 where $2 - $1 > interval '6 hours'
   and r.step_seconds = case when $2 - $1 <= interval '60 days' then 3600 when $2 - $1 <= interval '400 days' then 14400 else 86400 end
   and r."time" >= $1
   and r."time" < $2
$$;
comment on function report.database_grain(timestamptz, timestamptz) is 'what each database did, and the seconds that took: as sampled up to six hours, beyond that by hour, four hours or day';

drop view report.database_rollup;
create view report.database_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       n.name as database_name,
       r.backend_seconds / nullif(r.seconds, 0) as connections_average,
       r.backends_min as connections_min,
       r.backends_max as connections_max,
       r.backends_last as connections_last,
       r.size_bytes,
       r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched, r.tup_inserted, r.tup_updated,
       r.tup_deleted, r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.sessions, r.blk_read_time_ms, r.blk_write_time_ms,
       r.session_time_ms, r.active_time_ms, r.idle_in_transaction_time_ms
  from history.database_rollup r
  join pgam.server s on s.id = r.server_id
  left join (
        select i.server_id, i.oid, i.name, i.first_seen_at,
               lead(i.first_seen_at) over (partition by i.server_id, i.oid order by i.first_seen_at) as next_at
          from history.database i) n
    on n.server_id = r.server_id
   and n.oid = r.database_oid
   and n.first_seen_at < r.bucket + r.step_seconds * interval '1 second'
   and (n.next_at is null or n.next_at >= r.bucket + r.step_seconds * interval '1 second');
comment on view report.database_rollup is 'what each database did by hour (step_seconds 3600), four hours (14400) or day (86400); choose one step_seconds and give time a range';
grant select on report.database_rollup to pgam_read;
alter table history.database_rollup drop column counted_seconds;
comment on table history.database_rollup is 'database_stat and database_size by hour, four hours and day (UTC), all grown with every stored sample; a sample belongs to the bucket of its own instant, with all that happened since the one before. Partitioned by step, then time: give both';
