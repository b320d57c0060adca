-- Schema report: what people, Grafana and BI read. A view has an instant called
-- time and a unit for every column. Give t0, time or day a range: partitions are by
-- them. Functions that take a server and a range are put into the query that calls
-- them, where the planner sees the bounds; they read as who calls them, who may read
-- views only.

drop schema report cascade;
create schema report;
comment on schema report is 'pgam: stable read-only views for people, Grafana and BI';
grant usage on schema report to pgam_read;

-- Lists that stand in columns as numbers.

create function report.wait_class(number smallint) returns text
language sql immutable
as $$ select (array['cpu', 'lock', 'lwlock', 'io', 'ipc', 'client', 'timeout', 'buffer', 'extension', 'other', 'idle_in_transaction', 'idle'])[$1 + 1] $$;
comment on function report.wait_class(smallint) is 'name of a wait class; the last one, idle, is no load and in no sum';

create function report.dimension(number smallint) returns text
language sql immutable
as $$ select (array['wait', 'query', 'database', 'user', 'application', 'client', 'backend_type'])[$1] $$;
comment on function report.dimension(smallint) is 'name of what sessions are counted by';

create function report.outcome(number smallint) returns text
language sql immutable
as $$ select (array['ok', 'degraded', 'failed', 'skipped'])[coalesce($1, 0) + 1] $$;
comment on function report.outcome(smallint) is 'how a planned tick ended';

-- How fine an answer is: the same as the planner of the API chooses (package
-- history), so that both read the same rows.

create function report.activity_step("from" timestamptz, "to" timestamptz) returns integer
language sql immutable
as $$
select case when $2 - $1 <= interval '12 minutes' then 1
            when $2 - $1 <= interval '1 hour' then 5
            when $2 - $1 <= interval '3 hours' then 15
            when $2 - $1 <= interval '6 hours' then 60
            when $2 - $1 <= interval '15 days' then 600
            when $2 - $1 <= interval '180 days' then 3600
            else 86400 end
$$;
comment on function report.activity_step(timestamptz, timestamptz) is 'seconds between the points of report.activity_by: below 600 from single ticks, else from sums of that width';

create function report.fleet_step("from" timestamptz, "to" timestamptz) returns integer
language sql immutable
as $$
select case when $2 - $1 <= interval '48 hours' then 60
            when $2 - $1 <= interval '180 days' then 3600
            else 86400 end
$$;
comment on function report.fleet_step(timestamptz, timestamptz) is 'width in seconds of the sums that report.activity_grain reads: minutes, hours or days';

create function report.database_step("from" timestamptz, "to" timestamptz) returns integer
language sql immutable
as $$
select case when $2 - $1 <= interval '6 hours' then 0
            when $2 - $1 <= interval '2 days' then 600
            when $2 - $1 <= interval '120 days' then 3600
            else 86400 end
$$;
comment on function report.database_step(timestamptz, timestamptz) is 'width in seconds of the sums that report.database_grain reads; 0: rows as sampled';

-- Servers, and what keys of samples stand for.

create view report.server as
select s.id as server_id, s.name as server, s.host, s.port, s.enabled, s.created_at
  from pgam.server s
 where s.deleted_at is null;
comment on view report.server is 'watched servers, without anything secret';

create view report.session as
select d.server_id, d.day, d.key as session_id, d.pid, d.backend_start, d.database_oid, d.database_name, d.user_oid, d.user_name,
       d.application_name, d.client_addr, d.backend_type, d.leader_pid
  from history.session d;
comment on view report.session is 'sessions by day (UTC): a session has the same key on each of its days; filter on day, by which they are partitioned';

create view report.wait as
select x.server_id, x.key as wait_id, x.state, x.wait_event_type, x.wait_event, report.wait_class(x.class) as wait_class, x.last_seen_on
  from history.wait x;
comment on view report.wait is 'what sessions were doing: state and wait, by server';

create view report.query as
select q.server_id, q.key as query_ref, q.query_id, q.own as own_fingerprint, q.text as query, q.first_seen_on, q.last_seen_on
  from history.query q;
comment on view report.query is 'statements by server';

create view report.lock as
select l.server_id, l.key as lock_ref, l.lock_type, l.mode, l.database_oid, l.relation_oid, l.relation_name, l.first_seen_on, l.last_seen_on
  from history.lock l;
comment on view report.lock is 'what sessions waited for, by server';

-- Samples as they are stored. A bucket that is compacted is answered from its rows
-- in history.activity and what is derived from them; recent rows that came to it
-- since are late, and not looked at. So every tick is there once at any instant.

create view history.activity_tail as
select r.*
  from history.activity_recent r
 where not r.late;
comment on view history.activity_tail is 'recent rows that are looked at: those of buckets that are not compacted';

create view history.activity_row as
select a.server_id, a.bucket, a.tick_planned_ms, a.tick_delay_ms, a.tick_outcome, a.tick_reason, a.tick_duration_us, a.tick_backends,
       a.tick_next_xid, a.tick_burst, a.session_keys, a.wait_keys, a.wait_class, a.query_keys, a.lock_keys, a.sample_tick, a.sample_session, a.sample_wait,
       a.sample_query, a.sample_query_start_ms, a.sample_xact_lead_ms, a.sample_state_lag_ms, a.sample_xmin, a.sample_blocker, a.edge_tick,
       a.edge_blocked, a.edge_blocker, a.edge_lock
  from history.activity a
 union all
select r.server_id, date_bin('10 minutes', r.slot, timestamptz 'epoch'), r.tick_planned_ms, r.tick_delay_ms, r.tick_outcome, r.tick_reason,
       r.tick_duration_us, r.tick_backends, r.tick_next_xid, r.tick_burst, r.session_keys, r.wait_keys, r.wait_class, r.query_keys, r.lock_keys,
       r.sample_tick, r.sample_session, r.sample_wait, r.sample_query, r.sample_query_start_ms, r.sample_xact_lead_ms, r.sample_state_lag_ms,
       r.sample_xmin, r.sample_blocker, r.edge_tick, r.edge_blocked, r.edge_blocker, r.edge_lock
  from history.activity_tail r;
comment on view history.activity_row is 'rows that hold each tick once, compacted or not; milliseconds in them count from bucket';

-- Ticks.

create view report.tick as
select w.server_id,
       s.name as server,
       w.bucket as t0,
       w.bucket + k.planned_ms * interval '1 millisecond' as "time",
       report.outcome(k.outcome) as outcome,
       nullif(r.name, '') as reason,
       k.duration_us / 1000.0 as duration_ms,
       k.backends,
       coalesce(k.burst, false) as burst,
       k.delay_ms
  from history.activity_row w
  join pgam.server s on s.id = w.server_id
 cross join lateral unnest(w.tick_planned_ms, w.tick_delay_ms, w.tick_outcome, w.tick_reason, w.tick_duration_us, w.tick_backends, w.tick_burst)
       as k (planned_ms, delay_ms, outcome, reason, duration_us, backends, burst)
  left join history.reason r on r.id = coalesce(k.reason, 0);
comment on view report.tick is 'the ledger: every planned tick with its outcome; filter on t0, by which the data is partitioned (ticks lie within ten minutes after it)';

-- Session samples. What is in a row is put together within the row: its ticks and
-- keys are unnested once and joined by hash, which is several times faster than a
-- subscript for every sample. The offset keeps conditions out of there: with few
-- rows expected of them the planner would go through a row's keys for each sample.

create view report.activity as
select w.server_id, s.name as server, w.bucket as t0, u."time", u.pid, u.backend_start, u.database_name, u.user_name, u.application_name,
       u.client_addr, u.backend_type, u.leader_pid, u.state, u.wait_event_type, u.wait_event, u.query_id, u.query, u.query_start, u.xact_start,
       u.state_change, u.xmin_age, u.blocked_by_pid, u.blocked, u.burst, u.load, u.wait_class
  from history.activity_row w
  join pgam.server s on s.id = w.server_id
 cross join lateral (
       select w.bucket + k.planned_ms * interval '1 millisecond' as "time",
              d.pid, d.backend_start, d.database_name, d.user_name, d.application_name, d.client_addr, d.backend_type, d.leader_pid,
              x.state, x.wait_event_type, x.wait_event, report.wait_class(x.class) as wait_class, report.wait_class(x.class) <> 'idle' as load,
              q.query_id, q.query,
              w.bucket + u.query_start_ms * interval '1 millisecond' as query_start,
              w.bucket + (u.query_start_ms::bigint - u.xact_lead_ms) * interval '1 millisecond' as xact_start,
              w.bucket + (u.query_start_ms::bigint + coalesce(u.state_lag_ms, 0)) * interval '1 millisecond' as state_change,
              -- xmin is the lower half of a transaction id that is not newer than the next one
              case when u.xmin <> 0 and k.next_xid <> 0
                   then greatest(((k.next_xid - u.xmin + 2147483648) & 4294967295) - 2147483648, 0)::integer end as xmin_age,
              b.pid as blocked_by_pid,
              u.blocker is not null as blocked,
              coalesce(k.burst, false) as burst
         from unnest(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms, w.sample_xact_lead_ms,
                     w.sample_state_lag_ms, w.sample_xmin, w.sample_blocker)
              as u (tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin, blocker)
         join unnest(w.tick_planned_ms, w.tick_next_xid, w.tick_burst) with ordinality as k (planned_ms, next_xid, burst, number) on k.number = u.tick
         join (select n.number, n.class, x.*
                 from unnest(w.wait_keys, w.wait_class) with ordinality as n (key, class, number)
                 left join report.wait x on x.server_id = w.server_id and x.wait_id = n.key) x on x.number = u.wait
         join (select n.number, d.*
                 from unnest(w.session_keys) with ordinality as n (key, number)
                 left join report.session d on d.server_id = w.server_id and d.day = (w.bucket at time zone 'UTC')::date and d.session_id = n.key) d
           on d.number = u.session
         left join (select n.number, q.*
                      from unnest(w.query_keys) with ordinality as n (key, number)
                      left join report.query q on q.server_id = w.server_id and q.query_ref = n.key) q on q.number = u.query
         left join (select n.number, d.pid
                      from unnest(w.session_keys) with ordinality as n (key, number)
                      left join report.session d on d.server_id = w.server_id and d.day = (w.bucket at time zone 'UTC')::date and d.session_id = n.key) b
           on b.number = u.blocker
       offset 0) u;
comment on view report.activity is 'every session sample with text labels; filter on t0, by which the data is partitioned (samples lie within ten minutes after it), or ask report.activity_between';

create function report.activity_between(server text, "from" timestamptz, "to" timestamptz)
returns setof report.activity
language sql stable
as $$
select a.*
  from report.activity a
 where a.server_id = (select s.server_id from report.server s where s.server = $1)
   and a.t0 >= date_bin('10 minutes', $2, timestamptz 'epoch')
   and a.t0 < $3
   and a."time" >= $2
   and a."time" < $3
$$;
comment on function report.activity_between(text, timestamptz, timestamptz) is 'report.activity of one server, from the first instant until before the second; reads the partitions of that range only';

-- Who waited for whom.

create view report.blocking as
select w.server_id, s.name as server, w.bucket as t0, e."time", e.blocked_pid, e.blocked_database, e.blocked_user, e.blocked_application, e.blocker_pid,
       e.blocker_type, e.blocker_database, e.blocker_user, e.blocker_application, e.lock_type, e.mode, e.relation_oid, e.relation_name, e.root_pid,
       e.root_application, e.blocker_is_root
  from history.activity_row w
  join pgam.server s on s.id = w.server_id
 cross join lateral (
       with recursive edge as (
           select x.tick, x.blocked, x.blocker, x.lock
             from unnest(w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock) as x (tick, blocked, blocker, lock)
       ), up as ( -- whom a blocker waits for, and so on; a ring ends, as union keeps a row once
           select edge.tick, edge.blocker as start, edge.blocker as reached
             from edge
            union
           select up.tick, up.start, edge.blocker
             from up
             join edge on edge.tick = up.tick and edge.blocked = up.reached
       ), root as ( -- those who wait for nobody; of several the one with the lowest key
           select up.tick, up.start, min(up.reached) as session
             from up
             left join edge on edge.tick = up.tick and edge.blocked = up.reached
            where edge.tick is null
            group by up.tick, up.start
       ), session as (
           select n.number, d.*
             from unnest(w.session_keys) with ordinality as n (key, number)
             left join report.session d on d.server_id = w.server_id and d.day = (w.bucket at time zone 'UTC')::date and d.session_id = n.key
       )
       select w.bucket + k.planned_ms * interval '1 millisecond' as "time",
              d.pid as blocked_pid,
              d.database_name as blocked_database,
              d.user_name as blocked_user,
              d.application_name as blocked_application,
              b.pid as blocker_pid,
              b.backend_type as blocker_type,
              b.database_name as blocker_database,
              b.user_name as blocker_user,
              b.application_name as blocker_application,
              l.lock_type, l.mode, l.relation_oid, l.relation_name,
              r.pid as root_pid,
              r.application_name as root_application,
              root.session is not distinct from edge.blocker as blocker_is_root
         from edge
         join unnest(w.tick_planned_ms) with ordinality as k (planned_ms, number) on k.number = edge.tick
         left join root on root.tick = edge.tick and root.start = edge.blocker
         left join session d on d.number = edge.blocked
         left join session b on b.number = edge.blocker
         left join session r on r.number = root.session
         left join (select n.number, l.*
                      from unnest(w.lock_keys) with ordinality as n (key, number)
                      left join report.lock l on l.server_id = w.server_id and l.lock_ref = n.key) l on l.number = edge.lock
       offset 0) e
 where w.edge_tick is not null;
comment on view report.blocking is 'who waited for whom at each tick, for which lock, and behind which root; filter on t0, by which the data is partitioned (ticks lie within ten minutes after it), or ask report.blocking_between';

create function report.blocking_between(server text, "from" timestamptz, "to" timestamptz)
returns setof report.blocking
language sql stable
as $$
select b.*
  from report.blocking b
 where b.server_id = (select s.server_id from report.server s where s.server = $1)
   and b.t0 >= date_bin('10 minutes', $2, timestamptz 'epoch')
   and b.t0 < $3
   and b."time" >= $2
   and b."time" < $3
$$;
comment on function report.blocking_between(text, timestamptz, timestamptz) is 'report.blocking of one server, from the first instant until before the second; reads the partitions of that range only';

-- Sums by wait class: minutes, hours and days as the compactor made them, and what
-- is in the tail of the same minute, hour or day.

create view report.activity_minute as
select m.server_id,
       s.name as server,
       m."time",
       m.ticks_ok + m.ticks_degraded + m.ticks_failed + m.ticks_skipped as ticks_planned,
       m.ticks_ok, m.ticks_degraded, m.ticks_failed, m.ticks_skipped,
       m.samples::double precision / nullif(m.ticks_ok + m.ticks_degraded, 0) as average_active_sessions,
       m.max_sessions, m.max_backends,
       m.cpu, m.lock, m.lwlock, m.io, m.ipc, m.client, m.timeout, m.buffer, m.extension, m.other, m.idle_in_transaction, m.samples
  from (select c.server_id, c.minute as "time", c.ticks_ok::bigint, c.ticks_degraded::bigint, c.ticks_failed::bigint, c.ticks_skipped::bigint,
               c.samples, c.max_sessions, c.max_backends, c.cpu, c.lock, c.lwlock, c.io, c.ipc, c.client, c.timeout, c.buffer, c.extension,
               c.other, c.idle_in_transaction
          from history.activity_minute c
         union all
        select r.server_id, date_bin('1 minute', r.slot, timestamptz 'epoch'), sum(r.ticks_ok), sum(r.ticks_degraded), sum(r.ticks_failed),
               sum(r.ticks_skipped), sum(r.samples)::bigint, max(r.max_sessions), max(r.max_backends), sum(r.cpu)::bigint, sum(r.lock)::bigint,
               sum(r.lwlock)::bigint, sum(r.io)::bigint, sum(r.ipc)::bigint, sum(r.client)::bigint, sum(r.timeout)::bigint, sum(r.buffer)::bigint,
               sum(r.extension)::bigint, sum(r.other)::bigint, sum(r.idle_in_transaction)::bigint
          from history.activity_tail r
         group by 1, 2) m
  join pgam.server s on s.id = m.server_id;
comment on view report.activity_minute is 'samples by wait class and minute, with coverage';

create view report.activity_total as
select t.server_id,
       s.name as server,
       t."time",
       t.step_seconds,
       t.ticks_ok + t.ticks_degraded + t.ticks_failed + t.ticks_skipped as ticks_planned,
       t.ticks_ok, t.ticks_degraded, t.ticks_failed, t.ticks_skipped,
       t.samples::double precision / nullif(t.ticks_ok + t.ticks_degraded, 0) as average_active_sessions,
       t.max_sessions, t.max_backends,
       t.cpu, t.lock, t.lwlock, t.io, t.ipc, t.client, t.timeout, t.buffer, t.extension, t.other, t.idle_in_transaction, t.samples
  from (with tail as not materialized ( -- a condition on what is asked for goes in there
            select r.server_id, g.step_seconds, date_bin(g.step_seconds * interval '1 second', r.slot, timestamptz 'epoch') as bucket,
                   sum(r.ticks_ok) as ticks_ok, sum(r.ticks_degraded) as ticks_degraded, sum(r.ticks_failed) as ticks_failed,
                   sum(r.ticks_skipped) as ticks_skipped, sum(r.samples)::bigint as samples, max(r.max_sessions) as max_sessions,
                   max(r.max_backends) as max_backends, sum(r.cpu)::bigint as cpu, sum(r.lock)::bigint as lock, sum(r.lwlock)::bigint as lwlock,
                   sum(r.io)::bigint as io, sum(r.ipc)::bigint as ipc, sum(r.client)::bigint as client, sum(r.timeout)::bigint as timeout,
                   sum(r.buffer)::bigint as buffer, sum(r.extension)::bigint as extension, sum(r.other)::bigint as other,
                   sum(r.idle_in_transaction)::bigint as idle_in_transaction
              from history.activity_tail r
             cross join (values (3600), (86400)) as g (step_seconds)
             group by 1, 2, 3
        )
        select c.server_id, c.step_seconds, c.bucket as "time", c.ticks_ok::bigint, c.ticks_degraded::bigint, c.ticks_failed::bigint,
               c.ticks_skipped::bigint, c.samples, c.max_sessions, c.max_backends, c.cpu, c.lock, c.lwlock, c.io, c.ipc, c.client, c.timeout,
               c.buffer, c.extension, c.other, c.idle_in_transaction
          from history.activity_total c
         where not exists (select from tail where tail.server_id = c.server_id and tail.step_seconds = c.step_seconds and tail.bucket = c.bucket)
         union all
        select r.server_id, r.step_seconds, r.bucket, r.ticks_ok + coalesce(c.ticks_ok, 0), r.ticks_degraded + coalesce(c.ticks_degraded, 0),
               r.ticks_failed + coalesce(c.ticks_failed, 0), r.ticks_skipped + coalesce(c.ticks_skipped, 0), r.samples + coalesce(c.samples, 0),
               greatest(r.max_sessions, c.max_sessions), greatest(r.max_backends, c.max_backends), r.cpu + coalesce(c.cpu, 0),
               r.lock + coalesce(c.lock, 0), r.lwlock + coalesce(c.lwlock, 0), r.io + coalesce(c.io, 0), r.ipc + coalesce(c.ipc, 0),
               r.client + coalesce(c.client, 0), r.timeout + coalesce(c.timeout, 0), r.buffer + coalesce(c.buffer, 0),
               r.extension + coalesce(c.extension, 0), r.other + coalesce(c.other, 0), r.idle_in_transaction + coalesce(c.idle_in_transaction, 0)
          from tail r
          left join history.activity_total c on c.server_id = r.server_id and c.step_seconds = r.step_seconds and c.bucket = r.bucket) t
  join pgam.server s on s.id = t.server_id;
comment on view report.activity_total is 'samples by wait class and hour (step_seconds 3600) or day (86400), with coverage; choose one step_seconds';

create view report.coverage as
select t.server_id, t.server, t."time", t.ticks_planned, t.ticks_ok, t.ticks_degraded, t.ticks_failed, t.ticks_skipped
  from report.activity_total t
 where t.step_seconds = 3600;
comment on view report.coverage is 'what became of the planned ticks of each hour; an hour in which no collector ran has no row';

create view report.fault as
select f.server_id,
       s.name as server,
       f."time",
       report.outcome(f.outcome) as outcome,
       r.name as reason,
       f.ticks
  from (select m.server_id, m.minute as "time", u.outcome, u.reason, u.ticks::bigint
          from history.activity_minute m
         cross join lateral unnest(m.fault_outcome, m.fault_reason, m.fault_ticks) as u (outcome, reason, ticks)
         where m.fault_outcome is not null
         union all
        select r.server_id, date_bin('1 minute', r.slot, timestamptz 'epoch'), u.outcome, u.reason, sum(u.ticks)
          from history.activity_tail r
         cross join lateral unnest(r.fault_outcome, r.fault_reason, r.fault_ticks) as u (outcome, reason, ticks)
         where r.fault_outcome is not null
         group by 1, 2, 3, 4) f
  join pgam.server s on s.id = f.server_id
  left join history.reason r on r.id = f.reason;
comment on view report.fault is 'ticks that were not ok, by minute, outcome and reason';

create function report.activity_grain("from" timestamptz, "to" timestamptz)
returns table (server_id bigint, server text, "time" timestamptz, step_seconds integer, ticks_planned bigint, ticks_ok bigint, ticks_degraded bigint,
               ticks_failed bigint, ticks_skipped bigint, samples bigint, max_sessions integer, max_backends integer, cpu bigint, lock bigint, lwlock bigint,
               io bigint, ipc bigint, client bigint, timeout bigint, buffer bigint, extension bigint, other bigint, idle_in_transaction bigint)
language sql stable
as $$
select m.server_id, m.server, m."time", 60, m.ticks_planned, m.ticks_ok, m.ticks_degraded, m.ticks_failed, m.ticks_skipped, m.samples,
       m.max_sessions, m.max_backends, m.cpu, m.lock, m.lwlock, m.io, m.ipc, m.client, m.timeout, m.buffer, m.extension, m.other, m.idle_in_transaction
  from report.activity_minute m
 where report.fleet_step($1, $2) = 60
   and m."time" >= $1
   and m."time" < $2
 union all
select t.server_id, t.server, t."time", t.step_seconds, t.ticks_planned, t.ticks_ok, t.ticks_degraded, t.ticks_failed, t.ticks_skipped, t.samples,
       t.max_sessions, t.max_backends, t.cpu, t.lock, t.lwlock, t.io, t.ipc, t.client, t.timeout, t.buffer, t.extension, t.other, t.idle_in_transaction
  from report.activity_total t
 where report.fleet_step($1, $2) > 60
   and t.step_seconds = report.fleet_step($1, $2)
   and t."time" >= $1
   and t."time" < $2
$$;
comment on function report.activity_grain(timestamptz, timestamptz) is 'samples by wait class and the ledger of all servers: by minute up to two days, beyond that by hour, and by day beyond 180';

-- Sums by key of a dimension, which are made when their ten minutes are compacted.

create view report.activity_bucket as
select r.server_id, s.name as server, r.bucket as "time", r.step_seconds, report.dimension(r.dimension) as dimension, r.ticks, r.samples
  from history.activity_rollup r
  join pgam.server s on s.id = r.server_id;
comment on view report.activity_bucket is 'one row a bucket of report.activity_rollup, also of one in which nobody was active: divide samples by ticks for average sessions; choose one step_seconds and dimension, and give time a range';

create view report.activity_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       report.dimension(r.dimension) as dimension,
       case r.dimension
            when 1 then (select x.state || ' ' || concat_ws(':', nullif(x.wait_event_type, ''), nullif(x.wait_event, ''))
                           from history.wait x where x.server_id = r.server_id and x.key = k.key)
            when 2 then (select coalesce(q.text, q.query_id::text) from history.query q where q.server_id = r.server_id and q.key = k.key)
            else (select l.text from history.label l where l.server_id = r.server_id and l.key = k.key)
       end as key,
       case when r.dimension = 2 then (select q.query_id from history.query q where q.server_id = r.server_id and q.key = k.key) end as query_id,
       k.key is null as is_rest,
       k.samples,
       k.samples::double precision / nullif(r.ticks, 0) as average_sessions,
       k.peak as max_sessions
  from history.activity_rollup r
 cross join lateral unnest(array_append(r.keys, null), array_append(r.key_samples, r.tail_samples), r.key_peaks) as k (key, samples, peak)
  join pgam.server s on s.id = r.server_id
 where k.samples > 0;
comment on view report.activity_rollup is 'sessions by wait, query, database, user, application, client and backend type, of ten minutes (step_seconds 600), an hour (3600) or a day (86400); the newest quarter of an hour comes when it is compacted. Choose one step_seconds and dimension, and give time a range';

create function report.activity_by(server text, dimension text, "from" timestamptz, "to" timestamptz)
returns table ("time" timestamptz, key text, samples bigint, ticks bigint)
language sql stable
as $$
select date_bin(report.activity_step($3, $4) * interval '1 second', a."time", timestamptz 'epoch'),
       coalesce(case when $2 = 'wait' then a.state || ' ' || concat_ws(':', nullif(a.wait_event_type, ''), nullif(a.wait_event, ''))
                     when $2 = 'query' then coalesce(a.query, a.query_id::text)
                     when $2 = 'database' then a.database_name
                     when $2 = 'user' then a.user_name
                     when $2 = 'application' then nullif(a.application_name, '')
                     when $2 = 'client' then a.client_addr
                     when $2 = 'backend_type' then a.backend_type
                end, '(none)'),
       count(*), 0
  from report.activity_between($1, $3, $4) a
 where report.activity_step($3, $4) < 600
   and a.load
 group by 1, 2
 union all
select date_bin(report.activity_step($3, $4) * interval '1 second', k."time", timestamptz 'epoch'), null, 0, count(*)
  from report.tick k
 where report.activity_step($3, $4) < 600
   and k.server_id = (select s.server_id from report.server s where s.server = $1)
   and k.t0 >= date_bin('10 minutes', $3, timestamptz 'epoch')
   and k.t0 < $4
   and k."time" >= $3
   and k."time" < $4
   and k.outcome in ('ok', 'degraded')
 group by 1
 union all
select r."time", coalesce(r.key, case when r.is_rest then '(rest)' else '(none)' end), r.samples, 0
  from report.activity_rollup r
 where r.server_id = (select s.server_id from report.server s where s.server = $1)
   and r.dimension = $2
   and r.step_seconds = report.activity_step($3, $4)
   and r."time" >= $3
   and r."time" < $4
 union all
select r."time", null, 0, r.ticks
  from report.activity_bucket r
 where r.server_id = (select s.server_id from report.server s where s.server = $1)
   and r.dimension = $2
   and r.step_seconds = report.activity_step($3, $4)
   and r."time" >= $3
   and r."time" < $4
$$;
comment on function report.activity_by(text, text, timestamptz, timestamptz) is 'session samples of one server by key of a dimension (wait, query, database, user, application, client, backend_type), and in rows without a key the answered ticks: from single ticks up to six hours, beyond that from sums of ten minutes, an hour or a day, to which the newest quarter of an hour comes when it is compacted';

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

-- Databases. What was added between two rows is their difference.

create view report.database as
select d.server_id, s.name as server, d.oid as database_oid, d.name as database_name, d.is_template, d.allow_connect, d.encoding, d.created_at,
       d.first_seen_at, d.last_seen_at, d.dropped_at
  from history.database d
  join pgam.server s on s.id = d.server_id;
comment on view report.database is 'inventory of databases, those that are gone too; a rename makes a new row with the same oid';

create view history.database_name as
select d.server_id, d.oid, d.name, d.first_seen_at, lead(d.first_seen_at) over (partition by d.server_id, d.oid order by d.first_seen_at) as next_at
  from history.database d;
comment on view history.database_name is 'what a database was called, from first_seen_at until before next_at';

create view report.database_stat as
select d.server_id,
       s.name as server,
       d.planned_at as "time",
       n.name as database_name,
       d.numbackends,
       case when b.sampled_at is not null
            then extract(epoch from d.sampled_at - greatest(b.sampled_at, d.previous_at))::double precision end as interval_seconds,
       d.stats_reset,
       d.xact_commit - b.xact_commit as xact_commit,
       d.xact_rollback - b.xact_rollback as xact_rollback,
       d.blks_read - b.blks_read as blks_read,
       d.blks_hit - b.blks_hit as blks_hit,
       d.tup_returned - b.tup_returned as tup_returned,
       d.tup_fetched - b.tup_fetched as tup_fetched,
       d.tup_inserted - b.tup_inserted as tup_inserted,
       d.tup_updated - b.tup_updated as tup_updated,
       d.tup_deleted - b.tup_deleted as tup_deleted,
       d.conflicts - b.conflicts as conflicts,
       d.temp_files - b.temp_files as temp_files,
       d.temp_bytes - b.temp_bytes as temp_bytes,
       d.deadlocks - b.deadlocks as deadlocks,
       d.checksum_failures - b.checksum_failures as checksum_failures,
       case when d.blk_read_time_ms < b.blk_read_time_ms then 0 else d.blk_read_time_ms - b.blk_read_time_ms end as blk_read_time_ms,
       case when d.blk_write_time_ms < b.blk_write_time_ms then 0 else d.blk_write_time_ms - b.blk_write_time_ms end as blk_write_time_ms,
       case when d.session_time_ms < b.session_time_ms then 0 else d.session_time_ms - b.session_time_ms end as session_time_ms,
       case when d.active_time_ms < b.active_time_ms then 0 else d.active_time_ms - b.active_time_ms end as active_time_ms,
       case when d.idle_in_transaction_time_ms < b.idle_in_transaction_time_ms then 0 else d.idle_in_transaction_time_ms - b.idle_in_transaction_time_ms end as idle_in_transaction_time_ms,
       d.sessions - b.sessions as sessions,
       d.sessions_abandoned - b.sessions_abandoned as sessions_abandoned,
       d.sessions_fatal - b.sessions_fatal as sessions_fatal,
       d.sessions_killed - b.sessions_killed as sessions_killed,
       d.parallel_workers_to_launch - b.parallel_workers_to_launch as parallel_workers_to_launch,
       d.parallel_workers_launched - b.parallel_workers_launched as parallel_workers_launched,
       extract(epoch from d.sampled_at - b.sampled_at)::double precision as counted_seconds
  from history.database_stat d
  join pgam.server s on s.id = d.server_id
  left join lateral (
       select b.*
         from (select b.*
                 from history.database_stat b
                where b.server_id = d.server_id
                  and b.database_oid = d.database_oid
                  and b.planned_at < d.planned_at
                  and b.planned_at >= d.planned_at - interval '24 hours'
                order by b.planned_at desc
                limit 1) b
        -- the same counters, none of which went down
        where b.instance = d.instance
          and b.stats_reset is not distinct from d.stats_reset
          and b.sampled_at < d.sampled_at
          and 0 <= all (array[d.xact_commit - b.xact_commit, d.xact_rollback - b.xact_rollback, d.blks_read - b.blks_read, d.blks_hit - b.blks_hit,
                              d.tup_returned - b.tup_returned, d.tup_fetched - b.tup_fetched, d.tup_inserted - b.tup_inserted,
                              d.tup_updated - b.tup_updated, d.tup_deleted - b.tup_deleted, d.conflicts - b.conflicts,
                              d.temp_files - b.temp_files, d.temp_bytes - b.temp_bytes, d.deadlocks - b.deadlocks,
                              d.checksum_failures - b.checksum_failures, d.sessions - b.sessions, d.sessions_abandoned - b.sessions_abandoned,
                              d.sessions_fatal - b.sessions_fatal, d.sessions_killed - b.sessions_killed,
                              d.parallel_workers_to_launch - b.parallel_workers_to_launch,
                              d.parallel_workers_launched - b.parallel_workers_launched]) is not false) b on true
  left join history.database_name n
    on n.server_id = d.server_id and n.oid = d.database_oid and n.first_seen_at <= d.sampled_at and (n.next_at is null or n.next_at > d.sampled_at);
comment on view report.database_stat is 'what each database did since the row before; a database without change has a row every five minutes only. Give time a range';

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
       r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched, r.tup_inserted, r.tup_updated, r.tup_deleted,
       r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.sessions, r.blk_read_time_ms, r.blk_write_time_ms, r.session_time_ms,
       r.active_time_ms, r.idle_in_transaction_time_ms, r.counted_seconds
  from history.database_rollup r
  join pgam.server s on s.id = r.server_id
  left join history.database_name n
    on n.server_id = r.server_id and n.oid = r.database_oid
   and n.first_seen_at < r.bucket + r.step_seconds * interval '1 second'
   and (n.next_at is null or n.next_at >= r.bucket + r.step_seconds * interval '1 second');
comment on view report.database_rollup is 'what each database did by ten minutes (step_seconds 600), hour (3600) or day (86400); the newest quarter of an hour comes when it is compacted. Choose one step_seconds and give time a range';

create view report.database_size as
select z.server_id, s.name as server, z.sampled_at as "time", n.name as database_name, z.size_bytes
  from history.database_size z
  join pgam.server s on s.id = z.server_id
  left join history.database_name n
    on n.server_id = z.server_id and n.oid = z.database_oid and n.first_seen_at <= z.sampled_at and (n.next_at is null or n.next_at > z.sampled_at)
 where z.size_bytes is not null;
comment on view report.database_size is 'bytes on disk of each database over time';

create function report.database_grain("from" timestamptz, "to" timestamptz)
returns table (server text, "time" timestamptz, database_name text, seconds double precision, connections double precision, xact_commit bigint,
               xact_rollback bigint, blks_read bigint, blks_hit bigint, tup_returned bigint, tup_inserted bigint, tup_updated bigint,
               tup_deleted bigint, temp_bytes bigint, deadlocks bigint, blk_read_time_ms double precision, blk_write_time_ms double precision)
language sql stable
as $$
select d.server, d."time", d.database_name, d.counted_seconds, d.numbackends, d.xact_commit, d.xact_rollback, d.blks_read, d.blks_hit,
       d.tup_returned, d.tup_inserted, d.tup_updated, d.tup_deleted, d.temp_bytes, d.deadlocks, d.blk_read_time_ms, d.blk_write_time_ms
  from report.database_stat d
 where report.database_step($1, $2) = 0
   and d."time" >= $1
   and d."time" < $2
 union all
select r.server, r."time", r.database_name, nullif(r.counted_seconds, 0), r.connections_average, r.xact_commit, r.xact_rollback, r.blks_read,
       r.blks_hit, r.tup_returned, r.tup_inserted, r.tup_updated, r.tup_deleted, r.temp_bytes, r.deadlocks, r.blk_read_time_ms, r.blk_write_time_ms
  from report.database_rollup r
 where r.step_seconds = report.database_step($1, $2)
   and r."time" >= $1
   and r."time" < $2
$$;
comment on function report.database_grain(timestamptz, timestamptz) is 'what each database did, and the seconds that it was counted in: as sampled up to six hours, by ten minutes up to two days, by hour up to 120, beyond that by day. A rate is the sum of a counter over the sum of seconds';

-- Servers over time.

create view report.instance as
select i.server_id, s.name as server, i.since as "time", i.version_num, i.version, i.postmaster_start, i.in_recovery
  from history.server_identity i
  join pgam.server s on s.id = i.server_id;
comment on view report.instance is 'which instance answered, from when on; the newest row of a server is what it is now';

create view report.setting as
select n.server_id, s.name as server, n.name, n.value, n.since as "time"
  from history.setting n
  join pgam.server s on s.id = n.server_id;
comment on view report.setting is 'pg_settings of each server as last seen';

create view report.event as
select e.server_id, s.name as server, e.at as "time", e.kind, e.subject, e.old, e.new, e.detail
  from history.event e
  left join pgam.server s on s.id = e.server_id;
comment on view report.event is 'restarts, promotions, settings, databases that came and went, starts and stops of the collector';

create view report.horizon as
select h.server_id, s.name as server, h.sampled_at as "time", h.holder, h.name, h.xmin_age
  from history.horizon h
  join pgam.server s on s.id = h.server_id;
comment on view report.horizon is 'what beside sessions kept rows from being vacuumed: the oldest of each kind';

-- File systems.

create view report.disk_usage as
select d.server_id, s.name as server, d.sampled_at as "time", d.mount_point, f.device, f.uses, d.total_bytes, d.free_bytes, d.inodes_total,
       d.inodes_free
  from history.disk_usage d
  join pgam.server s on s.id = d.server_id
  left join history.file_system f on f.server_id = d.server_id and f.mount_point = d.mount_point;
comment on view report.disk_usage is 'how full the file systems of each server were';

create view report.disk_rollup as
select r.server_id, s.name as server, r.bucket as "time", r.mount_point, f.device, f.uses, r.total_bytes, r.free_bytes, r.free_bytes_min,
       r.inodes_free
  from history.disk_rollup r
  join pgam.server s on s.id = r.server_id
  left join history.file_system f on f.server_id = r.server_id and f.mount_point = r.mount_point;
comment on view report.disk_rollup is 'how full the file systems of each server were, by hour';

create function report.disk_grain("from" timestamptz, "to" timestamptz)
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

-- The monitor itself.

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

grant select on all tables in schema report to pgam_read;

-- Every column of every view says what it is and in which unit. What has one
-- name means one thing; a view's own meaning comes first.

do $$
declare
    item record;
begin
    for item in
        select distinct on (c.oid, a.attnum) c.relname, a.attname, n.text
          from (values
            (null, 'server_id', 'id of the server, never reused'),
            (null, 'server', 'name of the server; null: the monitor itself'),
            ('session', 'server_id', 'id of the server; report.server has its name'),
            (null, 'host', 'name, address, or folder of a Unix socket'),
            (null, 'port', 'TCP port'),
            (null, 'enabled', 'false: collection is paused'),
            ('server', 'created_at', 'when it was added, UTC'),
            (null, 't0', 'start of the ten minutes that hold the sample, UTC; filter on it'),
            (null, 'time', 'instant that the sample was planned for, UTC'),
            ('activity_minute', 'time', 'start of the minute, UTC'),
            ('activity_rollup', 'time', 'start of the bucket, UTC'),
            ('activity_total', 'time', 'start of the bucket, UTC'),
            ('database_rollup', 'time', 'start of the bucket, UTC'),
            ('disk_rollup', 'time', 'start of the hour, UTC'),
            ('coverage', 'time', 'start of the hour, UTC'),
            ('event', 'time', 'when it happened, or was first seen, UTC'),
            ('setting', 'time', 'since when it is known to be so, UTC'),
            (null, 'step_seconds', 'width of the bucket in seconds'),
            (null, 'day', 'UTC day'),
            (null, 'session_id', 'key of the session, the same on each of its days'),
            (null, 'pid', 'process id; 0: a prepared transaction'),
            (null, 'backend_start', 'when the session began, UTC; null: not known'),
            (null, 'database_oid', 'oid of the database; null: none'),
            (null, 'database_name', 'name of the database; null: none, or shared objects'),
            (null, 'user_oid', 'oid of the role; null: none'),
            (null, 'user_name', 'name of the role; null: none'),
            (null, 'application_name', 'as the client set it; of a prepared transaction its identifier'),
            (null, 'client_addr', 'client address; null: a Unix socket or a background process'),
            (null, 'backend_type', 'client backend, autovacuum worker, prepared transaction …'),
            (null, 'leader_pid', 'process id of a parallel worker''s leader (PostgreSQL 13 and later); null: it is none'),
            (null, 'wait_id', 'key of the wait'),
            (null, 'state', 'state as in pg_stat_activity; null: the rest of what is not listed'),
            (null, 'wait_event_type', 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed'),
            (null, 'wait_event', 'name of the wait event; empty: none'),
            (null, 'query_ref', 'key of the statement'),
            (null, 'query_id', 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement'),
            (null, 'own_fingerprint', 'true: query_id is pgam''s fingerprint, as the server gave none'),
            (null, 'query', 'text of the statement as the server''s setting keeps it: normalized, full, or null'),
            (null, 'first_seen_on', 'UTC day when it was first seen'),
            (null, 'last_seen_on', 'UTC day when it was last seen'),
            (null, 'query_start', 'when the statement began, UTC, to the millisecond; null: not known'),
            (null, 'xact_start', 'when the transaction began, UTC, to the millisecond; null: in none'),
            (null, 'state_change', 'when the state last changed, UTC, to the millisecond; null: not known'),
            ('activity', 'xmin_age', 'transactions begun since the session''s xmin; null: none worth keeping'),
            ('horizon', 'xmin_age', 'transactions since'),
            (null, 'blocked_by_pid', 'process id of the first session that blocks this one; null: none, or not known'),
            (null, 'blocked', 'true: the session waits for another; report.blocking says for whom'),
            (null, 'burst', 'true: the tick was taken in full detail, because the server was busy'),
            (null, 'outcome', 'ok, degraded (some was not answered), failed or skipped'),
            (null, 'reason', 'why it was not ok; null: it was'),
            (null, 'duration_ms', 'milliseconds the visit took'),
            (null, 'backends', 'connections to a database, idle ones too; null: not answered'),
            (null, 'blocked_pid', 'process id of the session that waits'),
            (null, 'blocked_database', 'its database'),
            (null, 'blocked_user', 'its role'),
            (null, 'blocked_application', 'its application_name'),
            (null, 'blocker_pid', 'process id of one that it waits for; 0: a prepared transaction; null: not known'),
            (null, 'blocker_type', 'its backend type, or prepared transaction'),
            (null, 'blocker_database', 'its database'),
            (null, 'blocker_user', 'its role'),
            (null, 'blocker_application', 'its application_name; of a prepared transaction its identifier'),
            (null, 'lock_type', 'as in pg_locks: relation, tuple, transactionid …; null: not known'),
            (null, 'mode', 'lock mode that was asked for'),
            (null, 'relation_oid', 'oid of the relation; null: not about one'),
            (null, 'relation_name', 'schema and name of the relation; null: not known'),
            (null, 'root_pid', 'process id of the session at the end of the chain, which waits for nobody; 0: a prepared transaction; null: the chain is a ring'),
            (null, 'root_application', 'its application_name; of a prepared transaction its identifier'),
            (null, 'blocker_is_root', 'true: the blocker waits for nobody'),
            (null, 'is_rest', 'true: the sum of all that is not listed, because it was too much'),
            (null, 'samples', 'session samples'),
            (null, 'average_sessions', 'mean number of sessions; null: no tick was answered'),
            (null, 'average_active_sessions', 'mean number of sessions that were not idle; null: no tick was answered'),
            (null, 'max_sessions', 'most sessions in one tick; null: not known'),
            (null, 'max_backends', 'most connections in one tick, idle ones too; null: never known'),
            (null, 'dimension', 'what is counted by: wait, query, database, user, application, client or backend_type'),
            (null, 'key', 'value of the dimension; null: none, or the rest'),
            (null, 'ticks_planned', 'ticks planned'),
            (null, 'ticks_ok', 'ticks answered in full'),
            (null, 'ticks_degraded', 'ticks answered in part'),
            (null, 'ticks_failed', 'ticks not answered'),
            (null, 'ticks_skipped', 'ticks at which the server was not asked'),
            (null, 'cpu', 'session samples that waited for nothing'),
            (null, 'lock', 'session samples that waited for a lock'),
            (null, 'lwlock', 'session samples that waited for a lightweight lock'),
            (null, 'io', 'session samples that waited for files'),
            (null, 'ipc', 'session samples that waited for another process'),
            (null, 'client', 'session samples that waited for the client'),
            (null, 'timeout', 'session samples that waited for a time to pass'),
            (null, 'buffer', 'session samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock'),
            (null, 'extension', 'session samples that waited in an extension'),
            (null, 'other', 'session samples that waited for something else'),
            (null, 'idle_in_transaction', 'session samples that were idle in a transaction, whatever they waited for; in no other class'),
            (null, 'kind', 'restart, crash, promotion, setting, database_dropped …'),
            (null, 'subject', 'what it is about: name of a setting or database; empty: the server'),
            (null, 'old', 'value before; null: none'),
            (null, 'new', 'value after; null: none'),
            (null, 'detail', 'what else is known; null: nothing'),
            ('setting', 'name', 'name of the setting'),
            (null, 'value', 'value in the unit of pg_settings, or a fingerprint of one that may hold a secret'),
            (null, 'holder', 'prepared_transaction, replication_slot or standby'),
            ('horizon', 'name', 'name of the holder'),
            (null, 'is_template', 'true: a template'),
            (null, 'allow_connect', 'false: nobody may connect'),
            (null, 'encoding', 'name of the encoding; null: not known'),
            ('database', 'created_at', 'when it was created, UTC, to the interval of the inventory; null: it was there before the first look'),
            (null, 'first_seen_at', 'when it was first seen, UTC'),
            (null, 'last_seen_at', 'when it was last seen, UTC'),
            (null, 'dropped_at', 'when it was seen to be gone, UTC; null: it is there'),
            (null, 'numbackends', 'connections at this instant; null: shared objects'),
            (null, 'interval_seconds', 'seconds at the end of counted_seconds in which all of it was added; null: the counters began anew'),
            (null, 'stats_reset', 'when the statistics were last reset, UTC; null: never'),
            (null, 'xact_commit', 'transactions committed since the sample, or bucket, before'),
            (null, 'xact_rollback', 'transactions rolled back since then'),
            (null, 'blks_read', 'blocks read since then'),
            (null, 'blks_hit', 'blocks found in shared buffers since then'),
            (null, 'tup_returned', 'rows returned since then'),
            (null, 'tup_fetched', 'rows fetched since then'),
            (null, 'tup_inserted', 'rows inserted since then'),
            (null, 'tup_updated', 'rows updated since then'),
            (null, 'tup_deleted', 'rows deleted since then'),
            (null, 'conflicts', 'statements cancelled by recovery since then'),
            (null, 'temp_files', 'temporary files since then'),
            (null, 'temp_bytes', 'bytes written to temporary files since then'),
            (null, 'deadlocks', 'deadlocks since then'),
            (null, 'checksum_failures', 'failed checksums since then; null: the server does not count them'),
            (null, 'blk_read_time_ms', 'milliseconds spent reading since then; needs track_io_timing'),
            (null, 'blk_write_time_ms', 'milliseconds spent writing since then; needs track_io_timing'),
            (null, 'session_time_ms', 'milliseconds of sessions since then (PostgreSQL 14 and later)'),
            (null, 'active_time_ms', 'milliseconds of active sessions since then (PostgreSQL 14 and later)'),
            (null, 'idle_in_transaction_time_ms', 'milliseconds idle in transactions since then (PostgreSQL 14 and later)'),
            (null, 'sessions', 'sessions established since then (PostgreSQL 14 and later)'),
            (null, 'sessions_abandoned', 'sessions whose client was lost since then (PostgreSQL 14 and later)'),
            (null, 'sessions_fatal', 'sessions ended by an error since then (PostgreSQL 14 and later)'),
            (null, 'sessions_killed', 'sessions ended by an operator since then (PostgreSQL 14 and later)'),
            (null, 'parallel_workers_to_launch', 'parallel workers planned since then (PostgreSQL 18 and later)'),
            (null, 'parallel_workers_launched', 'parallel workers launched since then (PostgreSQL 18 and later)'),
            (null, 'connections_average', 'mean number of connections; null: shared objects, or no sample'),
            (null, 'connections_min', 'fewest connections in a sample'),
            (null, 'connections_max', 'most connections in a sample'),
            (null, 'connections_last', 'connections in the newest sample'),
            (null, 'size_bytes', 'bytes on disk'),
            (null, 'mount_point', 'where the file system is mounted'),
            (null, 'device', 'what is mounted; empty: not known'),
            (null, 'uses', 'what it holds, as last seen: data, wal, tablespace:NAME'),
            (null, 'total_bytes', 'bytes of the file system; null: not known'),
            (null, 'free_bytes', 'bytes that an unprivileged process can use; null: not known'),
            (null, 'free_bytes_min', 'least free_bytes of the hour; null: not known'),
            (null, 'inodes_total', 'inodes of the file system; null: it has no fixed number, or it is not known'),
            (null, 'inodes_free', 'inodes that are free; null: not known'),
            ('activity_bucket', 'time', 'start of the bucket, UTC'),
            ('activity_bucket', 'ticks', 'answered ticks of the bucket'),
            ('fault', 'time', 'start of the minute, UTC'),
            (null, 'ticks', 'planned ticks'),
            (null, 'wait_class', 'cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction; idle: no load'),
            (null, 'load', 'false: no load, for it waits for work or sleeps because a throttle says so; leave it out of what is counted'),
            (null, 'delay_ms', 'milliseconds from time to when the tick was begun'),
            (null, 'lock_ref', 'key of the lock'),
            (null, 'counted_seconds', 'seconds that the counters are of; divide by it for a rate. null, 0: nothing was counted'),
            ('instance', 'time', 'from when on, UTC'),
            (null, 'version_num', 'server_version_num'),
            (null, 'version', 'server_version'),
            (null, 'postmaster_start', 'when it was started, UTC'),
            (null, 'in_recovery', 'true: a standby'),
            ('storage', 'time', 'day with which the partition begins'),
            ('storage', 'size_bytes', 'bytes on disk, with indexes and TOAST'),
            (null, 'table_name', 'partitioned table in the schema history'),
            (null, 'partition_name', 'the partition'),
            (null, 'estimated_rows', 'rows as of its last vacuum or analyze; -1: none yet')
          ) as n (view, name, text)
          join pg_catalog.pg_class c on c.relnamespace = 'report'::regnamespace and c.relkind = 'v' and (n.view is null or n.view = c.relname)
          join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = n.name and a.attnum > 0
         order by c.oid, a.attnum, n.view nulls last
    loop
        execute format('comment on column report.%I.%I is %L', item.relname, item.attname, item.text);
    end loop;
end
$$;

-- What stands in the tables of activity.

comment on table history.activity_recent is 'one row a server and slot of 15 seconds, aligned to the clock: the ticks that were planned in it, their samples, and sums of both, until the ten minutes are compacted';
comment on table history.activity is 'one row a server, ten minutes and part: all ticks of the time and their samples, merged. A part is a run of whole seconds. Arrays of ticks, of samples and of edges are parallel; report.activity shows them as rows';
comment on table history.activity_minute is 'one row a server and minute of ten that are compacted: what became of its ticks, and session samples by wait class; divide by ticks_ok + ticks_degraded for average active sessions. Made anew whenever its ten minutes are compacted';
comment on table history.activity_total is 'activity_minute by hour (step_seconds 3600) and day (86400): what a year is answered from';
comment on table history.activity_rollup is 'session samples that are load by ten minutes, hour and day and by the keys of a dimension, from compacted buckets; divide by ticks for average sessions. Partitioned by step, then time: give both';
comment on table history.session is 'what the keys of sessions stand for, by UTC day';
comment on table history.wait is 'what the keys of waits stand for';
comment on table history.query is 'what the keys of statements stand for';
comment on table history.lock is 'what the keys of locks stand for';
comment on table history.label is 'texts that activity_rollup counts by';
do $$
declare
    item record;
begin
    for item in
        select c.relname, a.attname, n.text
          from (values
            ('slot', 'start of the fifteen seconds, UTC'),
            ('written_at', 'when the row was written last, by this database''s clock'),
            ('late', 'its ten minutes were compacted before it came: nobody looks at it until it is merged in'),
            ('bucket', 'start of the bucket, UTC; in history.activity of ten minutes, from which all milliseconds of the row count'),
            ('minute', 'start of the minute, UTC'),
            ('step_seconds', 'width of the bucket: 3600 or 86400, in history.activity_rollup 600 too'),
            ('part', 'number of the part, from 0'),
            ('first_planned_ms', 'milliseconds from the start to when the first tick was planned'),
            ('last_planned_ms', 'milliseconds from the start to when the last tick was planned'),
            ('first_cadence_ms', 'milliseconds between planned ticks at the first one'),
            ('cadence_ms', 'milliseconds between planned ticks at the last one'),
            ('ticks_ok', 'ticks answered in full'),
            ('ticks_degraded', 'ticks answered in part'),
            ('ticks_failed', 'ticks not answered'),
            ('ticks_skipped', 'ticks at which the server was not asked'),
            ('ticks_missing', 'ticks that the cadence promised between the first and the last one and that are not there: no collector ran'),
            ('first_seen_ms', 'milliseconds from the start to when the first answered tick was begun; null: none was answered'),
            ('last_seen_ms', 'milliseconds from the start to when the last answered tick was begun; null: none was answered'),
            ('longest_gap_ms', 'milliseconds of the longest time between two answered ticks if one is missing between them; 0: none is'),
            ('fault_outcome', 'outcomes of ticks that were not ok: 1 degraded, 2 failed, 3 skipped; null: all were ok'),
            ('fault_reason', 'history.reason.id of each of them'),
            ('fault_ticks', 'ticks of each of them'),
            ('samples', 'session samples; of sums those that are load, the sum of the class columns'),
            ('max_sessions', 'most sessions in one tick that are load'),
            ('max_backends', 'most connections in one tick, idle ones too; null: never known'),
            ('cpu', 'samples of active sessions with no wait event'),
            ('lock', 'samples that waited for a lock'),
            ('lwlock', 'samples that waited for a lightweight lock'),
            ('io', 'samples that waited for files'),
            ('ipc', 'samples that waited for another process'),
            ('client', 'samples that waited for the client'),
            ('timeout', 'samples that waited for a time to pass'),
            ('buffer', 'samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock'),
            ('extension', 'samples that waited in an extension'),
            ('other', 'samples that waited for something else'),
            ('idle_in_transaction', 'samples of sessions idle in a transaction, whatever they wait for; in no other class'),
            ('tick_planned_ms', 'an element a tick: milliseconds from the start of the ten minutes to when it was planned'),
            ('tick_delay_ms', 'milliseconds from then to when it was begun'),
            ('tick_cadence_ms', 'milliseconds between planned ticks then'),
            ('tick_outcome', '0 ok, 1 degraded, 2 failed, 3 skipped; null: all were ok'),
            ('tick_reason', 'history.reason.id of an outcome other than ok; null: all were ok'),
            ('tick_duration_us', 'microseconds the visit took'),
            ('tick_backends', 'connections to a database, idle ones too; null elements: not answered'),
            ('tick_next_xid', 'the server''s next transaction id; 0: not known'),
            ('tick_burst', 'taken in full detail; null: none was'),
            ('tick_edges_cut', 'edges that were too many to keep; null: none were'),
            ('session_keys', 'keys of history.session that the row uses, ascending'),
            ('wait_keys', 'keys of history.wait'),
            ('wait_class', 'class of each wait: see report.wait_class'),
            ('query_keys', 'keys of history.query'),
            ('lock_keys', 'keys of history.lock'),
            ('sample_tick', 'an element a session sample, ordered by session, then tick: number of the tick, from 1'),
            ('sample_session', 'number of its key, from 1'),
            ('sample_wait', 'number of its key, from 1'),
            ('sample_query', 'number of its key, from 1; 0: no statement'),
            ('sample_query_start_ms', 'milliseconds from the start of the ten minutes to query_start; null elements: not known'),
            ('sample_xact_lead_ms', 'milliseconds from xact_start to query_start; null elements: in no transaction'),
            ('sample_state_lag_ms', 'milliseconds from query_start to state_change; null: none'),
            ('sample_xmin', 'backend_xmin, its four bytes with a sign; 0: none worth keeping; null: none has one'),
            ('sample_blocker', 'number of the key of the first session that blocks; 0: not known; null: not blocked'),
            ('edge_tick', 'an element an edge, which says that a session waits for another: number of the tick, from 1; null: nobody waited'),
            ('edge_blocked', 'number of the key of the session that waits'),
            ('edge_blocker', 'number of the key of one that it waits for; a prepared transaction is a session with pid 0; 0: not known'),
            ('edge_lock', 'number of the key of what it waits for; 0: not known'),
            ('dimension', '1 wait (history.wait), 2 query (history.query), 3 database, 4 user, 5 application, 6 client, 7 backend type (history.label)'),
            ('ticks', 'answered ticks of the bucket'),
            ('keys', 'keys of the dimension''s dictionary, the most frequent first; 0: none (no query, no database …)'),
            ('key_samples', 'session samples of each key'),
            ('key_peaks', 'most sessions of each key in one tick'),
            ('tail_keys', 'at least so many keys are not listed, because they were more than 100'),
            ('tail_samples', 'samples that are not counted under a key: of keys that are not listed, or were not in a finer bucket'),
            ('key', 'keyed hash of what the row says, the same whoever saw it'),
            ('day', 'UTC day of ticks that name it'),
            ('class', 'wait class: see report.wait_class'),
            ('own', 'true: query_id is pgam''s fingerprint, as the server gave none'),
            ('text', 'of a statement as the server''s query_texts allow it; null: not seen, or none are kept'),
            ('text_full', 'true: the text is as the server showed it, literals included'),
            ('lock_type', 'as in pg_locks: relation, tuple, transactionid, advisory …'),
            ('mode', 'the mode that was asked for'),
            ('relation_name', 'schema and name when it was seen; null: not about a relation, or it could not be read'),
            ('first_seen_on', 'UTC day'),
            ('last_seen_on', 'UTC day; the row expires with what can name it')
          ) as n (name, text)
          join pg_catalog.pg_class c
            on c.relnamespace = 'history'::regnamespace
           and c.relname in ('activity_recent', 'activity', 'activity_minute', 'activity_total', 'activity_rollup', 'session', 'wait', 'query', 'lock', 'label')
          join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = n.name and a.attnum > 0
    loop
        execute format('comment on column history.%I.%I is %L', item.relname, item.attname, item.text);
    end loop;
end
$$;

---- create above / drop below ----
