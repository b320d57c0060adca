-- What dashboards ask for: functions that take the grain that suits a range,
-- and what the monitor itself takes. The functions are put into the query that
-- calls them, where the planner sees the bounds: what another grain would be
-- read from, and all other partitions, are left out. They read as who calls them.

create view report.activity_bucket as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       (array['wait', 'query', 'database', 'user', 'application', 'client', 'backend_type'])[r.dimension] as dimension,
       r.ticks,
       r.samples
  from history.activity_rollup r
  join pgam.server s on s.id = r.server_id;
comment on view report.activity_bucket is 'one row a bucket of report.activity_rollup, also of one in which nobody was active: divide samples by ticks for average sessions; choose one step_seconds and dimension, and give time a range';
comment on column report.activity_bucket.server_id is 'id of the server, never reused';
comment on column report.activity_bucket.server is 'name of the server';
comment on column report.activity_bucket."time" is 'start of the bucket, UTC';
comment on column report.activity_bucket.step_seconds is 'width of the bucket in seconds';
comment on column report.activity_bucket.dimension is 'wait, query, database, user, application, client or backend_type';
comment on column report.activity_bucket.ticks is 'answered ticks of the bucket';
comment on column report.activity_bucket.samples is 'session samples of the bucket';

create function report.activity_by(server text, dimension text, "from" timestamptz, "to" timestamptz)
returns table ("time" timestamptz, key text, samples bigint, ticks bigint)
language sql stable
as $$
-- Up to three hours from windows, to the second or to 15 seconds.
select w.t0 + u.slot * interval '1 millisecond',
       coalesce(case when $2 = 'wait' then x.state || ' ' || concat_ws(':', nullif(x.wait_event_type, ''), nullif(x.wait_event, ''))
                     when $2 = 'query' then coalesce(q.query, q.query_id::text)
                     when $2 = 'database' then d.database_name
                     when $2 = 'user' then d.user_name
                     when $2 = 'application' then nullif(d.application_name, '')
                     when $2 = 'client' then d.client_addr
                     when $2 = 'backend_type' then d.backend_type
                end, '(none)'),
       u.samples,
       0
  from report.server s
  join report.activity_window w
    on w.server_id = s.server_id
   and w.t0 > (($3 at time zone 'UTC') - interval '5 minutes') at time zone 'UTC'
   and w.t0 < $4
 cross join lateral (
       select w.tick_offset_ms[a.tick] / g.slot * g.slot as slot, a.id, count(*) as samples
         from unnest(w.sample_tick, case when $2 = 'wait' then w.sample_wait::integer[] when $2 = 'query' then w.sample_query else w.sample_session end)
              as a (tick, id)
        cross join (select case when $4 - $3 <= interval '30 minutes' then 1000 else 15000 end as slot) g
        group by 1, 2) u
  left join report.wait x on $2 = 'wait' and x.server_id = w.server_id and x.wait_id = u.id
  left join report.query q on $2 = 'query' and q.server_id = w.server_id and q.query_ref = u.id
  left join report.session d
    on $2 not in ('wait', 'query')
   and d.server_id = w.server_id
   and d.day = (w.t0 at time zone 'UTC')::date
   and d.day >= (($3 at time zone 'UTC') - interval '5 minutes')::date
   and d.day <= ($4 at time zone 'UTC')::date
   and d.session_id = u.id
 where s.server = $1
   and $4 - $3 <= interval '3 hours'
   and w.t0 + u.slot * interval '1 millisecond' >= $3
   and w.t0 + u.slot * interval '1 millisecond' < $4
 union all
select w.t0 + u.slot * interval '1 millisecond', null, 0, u.ticks
  from report.server s
  join report.activity_window w
    on w.server_id = s.server_id
   and w.t0 > (($3 at time zone 'UTC') - interval '5 minutes') at time zone 'UTC'
   and w.t0 < $4
 cross join lateral (
       select a.at / g.slot * g.slot as slot, count(*) as ticks
         from unnest(w.tick_offset_ms, w.tick_outcome) as a (at, outcome)
        cross join (select case when $4 - $3 <= interval '30 minutes' then 1000 else 15000 end as slot) g
        where coalesce(a.outcome, 0) <= 1
        group by 1) u
 where s.server = $1
   and $4 - $3 <= interval '3 hours'
   and w.t0 + u.slot * interval '1 millisecond' >= $3
   and w.t0 + u.slot * interval '1 millisecond' < $4
 union all
-- Beyond that from rollups.
select r."time", coalesce(r.key, case when r.is_rest then '(rest)' else '(none)' end), r.samples, 0
  from report.activity_rollup r
 where r.server = $1
   and r.dimension = $2
   and r.step_seconds = case when $2 = 'wait' and $4 - $3 <= interval '1 day' then 60
                             when $4 - $3 <= interval '3 days' then 600
                             when $4 - $3 <= case when $2 = 'query' then interval '14 days' else interval '60 days' end then 3600
                             else 86400 end
   and $4 - $3 > interval '3 hours'
   and r."time" >= $3
   and r."time" < $4
 union all
select r."time", null, 0, r.ticks
  from report.activity_bucket r
 where r.server = $1
   and r.dimension = $2
   and r.step_seconds = case when $2 = 'wait' and $4 - $3 <= interval '1 day' then 60
                             when $4 - $3 <= interval '3 days' then 600
                             when $4 - $3 <= case when $2 = 'query' then interval '14 days' else interval '60 days' end then 3600
                             else 86400 end
   and $4 - $3 > interval '3 hours'
   and r."time" >= $3
   and r."time" < $4
$$;
comment on function report.activity_by(text, text, timestamptz, timestamptz) is 'session samples of one server by key of a dimension (wait, query, database, user, application, client, backend_type), and in rows without a key the answered ticks: from windows up to three hours, beyond that from rollups of a minute (wait only), ten minutes, an hour or a day, made when those are over';

create function report.activity_series(server text, dimension text, "from" timestamptz, "to" timestamptz, step_ms bigint, top integer)
returns table ("time" timestamptz, metric text, average_sessions double precision)
language sql stable
as $$
with part as (
    select date_bin(greatest($5, 1000) * interval '1 millisecond', a."time", timestamptz 'epoch') as slot, a.key, sum(a.samples) as samples,
           sum(a.ticks) as ticks
      from report.activity_by($1, $2, $3, $4) a
     group by 1, 2
), rank as (
    select part.key, row_number() over (order by part.key = '(rest)', sum(part.samples) desc, part.key) as place
      from part
     where part.key is not null
     group by part.key
), slot as ( -- those in which somebody looked
    select part.slot, part.ticks
      from part
     where part.key is null and part.ticks > 0
), shown as (
    select rank.key, case when rank.place <= $6 then rank.key else '(rest)' end as metric
      from rank
), filled as ( -- each key in each of them, if only with nothing
    select part.slot, shown.metric, part.samples
      from part
      join shown on shown.key = part.key
     union all
    select slot.slot, m.metric, 0
      from slot
     cross join (select distinct shown.metric from shown) m
)
select slot.slot, filled.metric, (sum(filled.samples) / slot.ticks)::double precision
  from slot
  join filled on filled.slot = slot.slot
 group by slot.slot, slot.ticks, filled.metric
 order by 1, 2
$$;
comment on function report.activity_series(text, text, timestamptz, timestamptz, bigint, integer) is 'average sessions of one server by the most frequent keys of a dimension, the others as (rest), in steps of so many milliseconds; a step without an answered tick has no row';

create view report.lock as
select l.server_id, l.id as lock_ref, l.lock_type, l.mode, l.database_oid, l.relation_oid, l.relation_name, l.first_seen_on, l.last_seen_on
  from history.lock l;
comment on view report.lock is 'what sessions waited for, by server';
comment on column report.lock.server_id is 'id of the server; report.server has its name';
comment on column report.lock.lock_ref is 'number of the lock, good for its server';
comment on column report.lock.lock_type is 'as in pg_locks: relation, tuple, transactionid …';
comment on column report.lock.mode is 'lock mode that was asked for';
comment on column report.lock.database_oid is 'oid of the database; null: shared object, or not about one';
comment on column report.lock.relation_oid is 'oid of the relation; null: not about one';
comment on column report.lock.relation_name is 'schema and name of the relation; null: not known';
comment on column report.lock.first_seen_on is 'UTC day when it was first seen';
comment on column report.lock.last_seen_on is 'UTC day when it was last seen';

create function report.blocking_between(server text, "from" timestamptz, "to" timestamptz)
returns setof report.blocking
language sql stable
as $$
select w.server_id,
       s.server,
       w.t0,
       w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond',
       d.pid,
       d.database_name,
       d.user_name,
       d.application_name,
       b.pid,
       b.backend_type,
       b.database_name,
       b.user_name,
       b.application_name,
       l.lock_type,
       l.mode,
       l.relation_oid,
       l.relation_name,
       r.pid,
       r.application_name,
       e.root is not distinct from e.blocker
  from report.server s
  join report.activity_window w
    on w.server_id = s.server_id
   and w.t0 > (($2 at time zone 'UTC') - interval '5 minutes') at time zone 'UTC'
   and w.t0 < $3
 cross join lateral (
       with recursive edge as (
           select x.tick, x.blocked, x.blocker, x.lock
             from unnest(w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock) as x (tick, blocked, blocker, lock)
       ), up as ( -- whom a blocker waits for, and so on; a ring ends, as union keeps a row once
           select tick, blocker as start, blocker as reached
             from edge
            union
           select up.tick, up.start, edge.blocker
             from up
             join edge on edge.tick = up.tick and edge.blocked = up.reached
       ), root as ( -- those who wait for nobody; of several the one with the lowest id
           select up.tick, up.start, min(up.reached) as session
             from up
             left join edge on edge.tick = up.tick and edge.blocked = up.reached
            where edge.tick is null
            group by up.tick, up.start
       )
       select edge.tick, edge.blocked, edge.blocker, edge.lock, root.session as root
         from edge
         left join root on root.tick = edge.tick and root.start = edge.blocker) e
  left join report.lock l on l.server_id = w.server_id and l.lock_ref = e.lock
  left join report.session d
    on d.server_id = w.server_id
   and d.day = (w.t0 at time zone 'UTC')::date
   and d.day >= (($2 at time zone 'UTC') - interval '5 minutes')::date
   and d.day <= ($3 at time zone 'UTC')::date
   and d.session_id = e.blocked
  left join report.session b
    on b.server_id = w.server_id
   and b.day = (w.t0 at time zone 'UTC')::date
   and b.day >= (($2 at time zone 'UTC') - interval '5 minutes')::date
   and b.day <= ($3 at time zone 'UTC')::date
   and b.session_id = e.blocker
  left join report.session r
    on r.server_id = w.server_id
   and r.day = (w.t0 at time zone 'UTC')::date
   and r.day >= (($2 at time zone 'UTC') - interval '5 minutes')::date
   and r.day <= ($3 at time zone 'UTC')::date
   and r.session_id = e.root
 where s.server = $1
   and w.edge_tick is not null
   and w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond' >= $2
   and w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond' < $3
$$;
comment on function report.blocking_between(text, timestamptz, timestamptz) is 'report.blocking of one server, from the first instant until before the second; reads the partitions of that range only';

create function report.activity_grain("from" timestamptz, "to" timestamptz)
returns table (server_id bigint, server text, "time" timestamptz, step_seconds integer, ticks_planned bigint, ticks_ok bigint, ticks_degraded bigint,
               ticks_failed bigint, ticks_skipped bigint, samples bigint, max_sessions integer, max_backends integer, cpu bigint, lock bigint, lwlock bigint,
               io bigint, ipc bigint, client bigint, timeout bigint, buffer_pin bigint, extension bigint, other bigint,
               idle_in_transaction bigint)
language sql stable
as $$
select m.server_id, m.server, m."time", 60, m.ticks_planned, m.ticks_ok, m.ticks_degraded, m.ticks_failed, m.ticks_skipped,
       m.cpu + m.lock + m.lwlock + m.io + m.ipc + m.client + m.timeout + m.buffer_pin + m.extension + m.other + m.idle_in_transaction,
       m.max_sessions, m.max_backends, m.cpu, m.lock, m.lwlock, m.io, m.ipc, m.client, m.timeout, m.buffer_pin, m.extension, m.other, m.idle_in_transaction
  from report.activity_minute m
 where $2 - $1 <= interval '2 days'
   and m."time" >= $1
   and m."time" < $2
 union all
select t.server_id, t.server, t."time", t.step_seconds, t.ticks_planned, t.ticks_ok, t.ticks_degraded, t.ticks_failed, t.ticks_skipped,
       t.cpu + t.lock + t.lwlock + t.io + t.ipc + t.client + t.timeout + t.buffer_pin + t.extension + t.other + t.idle_in_transaction,
       t.max_sessions, t.max_backends, t.cpu, t.lock, t.lwlock, t.io, t.ipc, t.client, t.timeout, t.buffer_pin, t.extension, t.other,
       t.idle_in_transaction
  from report.activity_total t
 where $2 - $1 > interval '2 days'
   and t.step_seconds = case when $2 - $1 <= interval '400 days' then 3600 else 86400 end
   and t."time" >= $1
   and t."time" < $2
$$;
comment on function report.activity_grain(timestamptz, timestamptz) is 'samples by wait class and the ledger of all servers: by minute up to two days, beyond that by hour, and by day beyond 400';

create function report.database_grain("from" timestamptz, "to" timestamptz)
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

create function report.disk_grain("from" timestamptz, "to" timestamptz)
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

-- The monitor itself.

create view report.instance as
select i.server_id, s.name as server, i.since as "time", i.version_num, i.version, i.postmaster_start, i.in_recovery
  from history.server_identity i
  join pgam.server s on s.id = i.server_id;
comment on view report.instance is 'which instance answered, from when on; the newest row of a server is what it is now';
comment on column report.instance.server_id is 'id of the server, never reused';
comment on column report.instance.server is 'name of the server';
comment on column report.instance."time" is 'from when on, UTC';
comment on column report.instance.version_num is 'server_version_num';
comment on column report.instance.version is 'server_version';
comment on column report.instance.postmaster_start is 'when it was started, UTC';
comment on column report.instance.in_recovery is 'true: a standby';

create view report.packed_day as
select p.day::timestamp at time zone 'UTC' as "time", p.packed_at, p.windows, p.rows, p.samples, p.bytes_before, p.bytes_after, p.late
  from history.packed_day p;
comment on view report.packed_day is 'days whose windows were packed into five minutes each';
comment on column report.packed_day."time" is 'start of the day, UTC';
comment on column report.packed_day.packed_at is 'when it was packed, UTC';
comment on column report.packed_day.windows is 'windows before';
comment on column report.packed_day.rows is 'rows after';
comment on column report.packed_day.samples is 'session samples of the day';
comment on column report.packed_day.bytes_before is 'bytes of the partition before, with indexes and TOAST';
comment on column report.packed_day.bytes_after is 'bytes of the partition after';
comment on column report.packed_day.late is 'windows that came since';

create view report.storage as
select case when b.lower ~ ':' then b.lower::timestamptz else b.lower::timestamp at time zone 'UTC' end as "time",
       t.relname::text as table_name,
       c.relname::text as partition_name,
       pg_catalog.pg_total_relation_size(c.oid) as size_bytes,
       c.reltuples::bigint as estimated_rows
  from pg_catalog.pg_class t
  join pg_catalog.pg_inherits i on i.inhparent = t.oid
  join pg_catalog.pg_class c on c.oid = i.inhrelid
 cross join lateral (
       select substring(pg_catalog.pg_get_expr(c.relpartbound, c.oid) from '''([^'']+)''\) TO') as lower) b
 where t.relnamespace = 'history'::regnamespace
   and t.relkind = 'p';
comment on view report.storage is 'partitions of history with their sizes; each query measures them all';
comment on column report.storage."time" is 'day with which the partition begins';
comment on column report.storage.table_name is 'partitioned table in the schema history';
comment on column report.storage.partition_name is 'the partition';
comment on column report.storage.size_bytes is 'bytes on disk, with indexes and TOAST';
comment on column report.storage.estimated_rows is 'rows as of its last vacuum or analyze; -1: none yet';

grant select on report.activity_bucket, report.lock, report.instance, report.packed_day, report.storage to pgam_read;

---- create above / drop below ----

drop view report.storage;
drop view report.packed_day;
drop view report.instance;
drop function report.disk_grain(timestamptz, timestamptz);
drop function report.database_grain(timestamptz, timestamptz);
drop function report.activity_grain(timestamptz, timestamptz);
drop function report.blocking_between(text, timestamptz, timestamptz);
drop view report.lock;
drop function report.activity_series(text, text, timestamptz, timestamptz, bigint, integer);
drop function report.activity_by(text, text, timestamptz, timestamptz);
drop view report.activity_bucket;
