-- Dashboards of many servers and long ranges: what a row is called is looked up
-- once, and by what it is, not for every row and dimension; and disks come from
-- sums by hour beyond six hours, as databases do. The columns are the same.

create or replace view report.database_stat as
select d.server_id,
       s.name as server,
       d.sampled_at as "time",
       n.name as database_name,
       d.numbackends, d.interval_seconds, d.epoch, d.stats_reset,
       d.xact_commit, d.xact_rollback, d.blks_read, d.blks_hit, d.tup_returned, d.tup_fetched, d.tup_inserted,
       d.tup_updated, d.tup_deleted, d.conflicts, d.temp_files, d.temp_bytes, d.deadlocks, d.checksum_failures,
       d.blk_read_time_ms, d.blk_write_time_ms, d.session_time_ms, d.active_time_ms, d.idle_in_transaction_time_ms,
       d.sessions, d.sessions_abandoned, d.sessions_fatal, d.sessions_killed,
       d.parallel_workers_to_launch, d.parallel_workers_launched
  from history.database_stat d
  join pgam.server s on s.id = d.server_id
  left join (
        select i.server_id, i.oid, i.name, i.first_seen_at,
               lead(i.first_seen_at) over (partition by i.server_id, i.oid order by i.first_seen_at) as next_at
          from history.database i) n
    on n.server_id = d.server_id
   and n.oid = d.database_oid
   and n.first_seen_at <= d.sampled_at
   and (n.next_at is null or n.next_at > d.sampled_at);

create or replace view report.database_size as
select z.server_id, s.name as server, z.sampled_at as "time", i.name as database_name, z.size_bytes
  from history.database_size z
  join pgam.server s on s.id = z.server_id
  left join (
        select i.server_id, i.oid, i.name, i.first_seen_at,
               lead(i.first_seen_at) over (partition by i.server_id, i.oid order by i.first_seen_at) as next_at
          from history.database i) i
    on i.server_id = z.server_id
   and i.oid = z.database_oid
   and i.first_seen_at <= z.sampled_at
   and (i.next_at is null or i.next_at > z.sampled_at)
 where z.size_bytes is not null;

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

create or replace view report.activity_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       (array['wait', 'query', 'database', 'user', 'application', 'client', 'backend_type'])[r.dimension] as dimension,
       case r.dimension
            when 1 then (
                 select x.state || ' ' || concat_ws(':', nullif(x.wait_event_type, ''), nullif(x.wait_event, ''))
                   from history.wait x
                  where x.server_id = r.server_id and x.id = k.key)
            when 2 then (
                 select coalesce(q.text, q.query_id::text)
                   from history.query q
                  where q.server_id = r.server_id and q.id = k.key)
            else (
                 select l.text
                   from history.label l
                  where l.server_id = r.server_id and l.id = k.key)
       end as key,
       case when r.dimension = 2 then (
                 select q.query_id
                   from history.query q
                  where q.server_id = r.server_id and q.id = k.key)
       end as query_id,
       k.key is null as is_rest,
       k.samples,
       k.samples::double precision / nullif(r.ticks, 0) as average_sessions,
       k.peak as max_sessions
  from history.activity_rollup r
 cross join lateral unnest(array_append(r.keys, null), array_append(r.key_samples, r.tail_samples), r.key_peaks) as k (key, samples, peak)
  join pgam.server s on s.id = r.server_id
 where k.samples > 0;

create or replace function report.disk_grain("from" timestamptz, "to" timestamptz)
returns table (server text, "time" timestamptz, mount_point text, total_bytes bigint, free_bytes bigint, inodes_free bigint)
language sql stable
as $$
select d.server, d."time", d.mount_point, d.total_bytes, d.free_bytes, d.inodes_free
  from report.disk_usage d
 where $2 - $1 <= interval '6 hours'
   and d."time" >= $1
   and d."time" < $2
 union all
select r.server, r."time", r.mount_point, r.total_bytes, r.free_bytes_min, r.inodes_free
  from report.disk_rollup r
 where $2 - $1 > interval '6 hours'
   and r."time" >= $1
   and r."time" < $2
$$;
comment on function report.disk_grain(timestamptz, timestamptz) is 'how full file systems were: as sampled up to six hours, beyond that the least free of each hour';

---- create above / drop below ----

create or replace view report.database_stat as
select d.server_id,
       s.name as server,
       d.sampled_at as "time",
       n.name as database_name,
       d.numbackends, d.interval_seconds, d.epoch, d.stats_reset,
       d.xact_commit, d.xact_rollback, d.blks_read, d.blks_hit, d.tup_returned, d.tup_fetched, d.tup_inserted,
       d.tup_updated, d.tup_deleted, d.conflicts, d.temp_files, d.temp_bytes, d.deadlocks, d.checksum_failures,
       d.blk_read_time_ms, d.blk_write_time_ms, d.session_time_ms, d.active_time_ms, d.idle_in_transaction_time_ms,
       d.sessions, d.sessions_abandoned, d.sessions_fatal, d.sessions_killed,
       d.parallel_workers_to_launch, d.parallel_workers_launched
  from history.database_stat d
  join pgam.server s on s.id = d.server_id
  left join lateral (
        select i.name
          from history.database i
         where i.server_id = d.server_id and i.oid = d.database_oid and i.first_seen_at <= d.sampled_at
         order by i.first_seen_at desc
         limit 1) n on true;

create or replace view report.database_size as
select z.server_id, s.name as server, z.sampled_at as "time", i.name as database_name, z.size_bytes
  from history.database_size z
  join pgam.server s on s.id = z.server_id
  left join lateral (
        select i.name
          from history.database i
         where i.server_id = z.server_id and i.oid = z.database_oid and i.first_seen_at <= z.sampled_at
         order by i.first_seen_at desc
         limit 1) i on true
 where z.size_bytes is not null;

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
       r.session_time_ms, r.active_time_ms, r.idle_in_transaction_time_ms
  from history.database_rollup r
  join pgam.server s on s.id = r.server_id
  left join lateral (
        select i.name
          from history.database i
         where i.server_id = r.server_id and i.oid = r.database_oid
           and i.first_seen_at < r.bucket + r.step_seconds * interval '1 second'
         order by i.first_seen_at desc
         limit 1) n on true;

create or replace view report.activity_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       (array['wait', 'query', 'database', 'user', 'application', 'client', 'backend_type'])[r.dimension] as dimension,
       case r.dimension
            when 1 then x.state || ' ' || concat_ws(':', nullif(x.wait_event_type, ''), nullif(x.wait_event, ''))
            when 2 then coalesce(q.text, q.query_id::text)
            else l.text
       end as key,
       q.query_id,
       k.key is null as is_rest,
       k.samples,
       k.samples::double precision / nullif(r.ticks, 0) as average_sessions,
       k.peak as max_sessions
  from history.activity_rollup r
 cross join lateral unnest(array_append(r.keys, null), array_append(r.key_samples, r.tail_samples), r.key_peaks) as k (key, samples, peak)
  join pgam.server s on s.id = r.server_id
  left join history.wait x on r.dimension = 1 and x.server_id = r.server_id and x.id = k.key
  left join history.query q on r.dimension = 2 and q.server_id = r.server_id and q.id = k.key
  left join history.label l on r.dimension > 2 and l.server_id = r.server_id and l.id = k.key
 where k.samples > 0;

create or replace function report.disk_grain("from" timestamptz, "to" timestamptz)
returns table (server text, "time" timestamptz, mount_point text, total_bytes bigint, free_bytes bigint, inodes_free bigint)
language sql stable
as $$
select d.server, d."time", d.mount_point, d.total_bytes, d.free_bytes, d.inodes_free
  from report.disk_usage d
 where $2 - $1 <= interval '2 days'
   and d."time" >= $1
   and d."time" < $2
 union all
select r.server, r."time", r.mount_point, r.total_bytes, r.free_bytes_min, r.inodes_free
  from report.disk_rollup r
 where $2 - $1 > interval '2 days'
   and r."time" >= $1
   and r."time" < $2
$$;
comment on function report.disk_grain(timestamptz, timestamptz) is 'how full file systems were: as sampled up to two days, beyond that the least free of each hour';
