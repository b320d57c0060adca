-- Views for people, Grafana and BI: every fact under a name, with an instant
-- called time and a unit for every column. They filter on the columns that
-- partitions are made by: give t0, time or day a range.

-- Dictionaries, and windows as they are stored: what activity_between is made
-- of. It reads as who calls it, who may read views only.

create view report.session as
select d.server_id, d.day, d.id as session_id, d.pid, d.backend_start, d.database_oid, d.database_name, d.user_oid, d.user_name,
       d.application_name, d.client_addr, d.backend_type, d.leader_pid
  from history.session d;
comment on view report.session is 'sessions by day (UTC); an id is good for its server and day; filter on day, by which they are partitioned';

create view report.wait as
select x.server_id, x.id as wait_id, x.state, x.wait_event_type, x.wait_event
  from history.wait x;
comment on view report.wait is 'what sessions were doing: state and wait, by server';

create view report.query as
select q.server_id, q.id as query_ref, q.query_id, q.own as own_fingerprint, q.text as query, q.first_seen_on, q.last_seen_on
  from history.query q;
comment on view report.query is 'statements by server';

create view report.activity_window as
select w.server_id, w.t0, w.span_ms, w.cadence_ms, w.samples, w.xid_base, w.tick_offset_ms, w.tick_outcome, w.tick_reason, w.tick_duration_us,
       w.tick_backends, w.tick_burst, w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms, w.sample_xact_lead_ms,
       w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker, w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock
  from history.activity_window w;
comment on view report.activity_window is 'windows as they are stored: parallel arrays of dictionary ids; report.activity shows them as rows';

-- Activity, now with bursts; and the ledger.

create or replace view report.activity as
select w.server_id,
       s.name as server,
       w.t0,
       w.t0 + w.tick_offset_ms[u.tick] * interval '1 millisecond' as "time",
       d.pid,
       d.backend_start,
       d.database_name,
       d.user_name,
       d.application_name,
       d.client_addr,
       d.backend_type,
       d.leader_pid,
       x.state,
       x.wait_event_type,
       x.wait_event,
       q.query_id,
       q.text as query,
       w.t0 + u.query_start_ms * interval '1 millisecond' as query_start,
       w.t0 + (u.query_start_ms::bigint - u.xact_lead_ms) * interval '1 millisecond' as xact_start,
       w.t0 + (u.query_start_ms::bigint + coalesce(u.state_lag_ms, 0)) * interval '1 millisecond' as state_change,
       u.xmin_age,
       b.pid as blocked_by_pid,
       u.blocker is not null as blocked,
       coalesce(w.tick_burst[u.tick], false) as burst
  from history.activity_window w
 cross join lateral unnest(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms,
                           w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker)
       as u (tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin_age, blocker)
  join pgam.server s on s.id = w.server_id
  join history.wait x on x.server_id = w.server_id and x.id = u.wait
  left join history.session d on d.server_id = w.server_id and d.day = (w.t0 at time zone 'UTC')::date and d.id = u.session
  left join history.query q on q.server_id = w.server_id and q.id = u.query
  left join history.session b on b.server_id = w.server_id and b.day = (w.t0 at time zone 'UTC')::date and b.id = u.blocker;
comment on view report.activity is 'every session sample with text labels; filter on t0, by which the data is partitioned (a window may begin five minutes before its last sample), or ask report.activity_between';

create function report.activity_between(server text, "from" timestamptz, "to" timestamptz)
returns setof report.activity
language sql stable
as $$
-- One select that is put into the query that calls it, where the planner sees
-- the bounds: windows and sessions are left out by partition. All of the
-- arithmetic on them is immutable.
select w.server_id,
       s.server,
       w.t0,
       w.t0 + w.tick_offset_ms[u.tick] * interval '1 millisecond',
       d.pid,
       d.backend_start,
       d.database_name,
       d.user_name,
       d.application_name,
       d.client_addr,
       d.backend_type,
       d.leader_pid,
       x.state,
       x.wait_event_type,
       x.wait_event,
       q.query_id,
       q.query,
       w.t0 + u.query_start_ms * interval '1 millisecond',
       w.t0 + (u.query_start_ms::bigint - u.xact_lead_ms) * interval '1 millisecond',
       w.t0 + (u.query_start_ms::bigint + coalesce(u.state_lag_ms, 0)) * interval '1 millisecond',
       u.xmin_age,
       b.pid,
       u.blocker is not null,
       coalesce(w.tick_burst[u.tick], false)
  from report.server s
  join report.activity_window w
    on w.server_id = s.server_id
   and w.t0 > (($2 at time zone 'UTC') - interval '5 minutes') at time zone 'UTC'
   and w.t0 < $3
 cross join lateral unnest(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms,
                           w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker)
       as u (tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin_age, blocker)
  join report.wait x on x.server_id = w.server_id and x.wait_id = u.wait
  left join report.session d
    on d.server_id = w.server_id
   and d.day = (w.t0 at time zone 'UTC')::date
   and d.day >= (($2 at time zone 'UTC') - interval '5 minutes')::date
   and d.day <= ($3 at time zone 'UTC')::date
   and d.session_id = u.session
  left join report.query q on q.server_id = w.server_id and q.query_ref = u.query
  left join report.session b
    on b.server_id = w.server_id
   and b.day = (w.t0 at time zone 'UTC')::date
   and b.day >= (($2 at time zone 'UTC') - interval '5 minutes')::date
   and b.day <= ($3 at time zone 'UTC')::date
   and b.session_id = u.blocker
 where s.server = $1
   and w.t0 + w.tick_offset_ms[u.tick] * interval '1 millisecond' >= $2
   and w.t0 + w.tick_offset_ms[u.tick] * interval '1 millisecond' < $3
$$;
comment on function report.activity_between(text, timestamptz, timestamptz) is 'report.activity of one server, from the first instant until before the second; reads the partitions of that range only';

create or replace view report.tick as
select w.server_id,
       s.name as server,
       w.t0,
       w.t0 + u.offset_ms * interval '1 millisecond' as "time",
       (array['ok', 'degraded', 'failed', 'skipped'])[coalesce(u.outcome, 0) + 1] as outcome,
       nullif(r.name, '') as reason,
       u.duration_us / 1000.0 as duration_ms,
       u.backends,
       coalesce(u.burst, false) as burst
  from history.activity_window w
 cross join lateral unnest(w.tick_offset_ms, w.tick_outcome, w.tick_reason, w.tick_duration_us, w.tick_backends, w.tick_burst)
       as u (offset_ms, outcome, reason, duration_us, backends, burst)
  join pgam.server s on s.id = w.server_id
  left join history.reason r on r.id = coalesce(u.reason, 0);

-- Who waited for whom.

create view report.blocking as
select w.server_id,
       s.name as server,
       w.t0,
       w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond' as "time",
       d.pid as blocked_pid,
       d.database_name as blocked_database,
       d.user_name as blocked_user,
       d.application_name as blocked_application,
       b.pid as blocker_pid,
       b.backend_type as blocker_type,
       b.database_name as blocker_database,
       b.user_name as blocker_user,
       b.application_name as blocker_application,
       l.lock_type,
       l.mode,
       l.relation_oid,
       l.relation_name,
       r.pid as root_pid,
       r.application_name as root_application,
       e.root is not distinct from e.blocker as blocker_is_root
  from history.activity_window w
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
  join pgam.server s on s.id = w.server_id
  left join history.lock l on l.server_id = w.server_id and l.id = e.lock
  left join history.session d on d.server_id = w.server_id and d.day = (w.t0 at time zone 'UTC')::date and d.id = e.blocked
  left join history.session b on b.server_id = w.server_id and b.day = (w.t0 at time zone 'UTC')::date and b.id = e.blocker
  left join history.session r on r.server_id = w.server_id and r.day = (w.t0 at time zone 'UTC')::date and r.id = e.root
 where w.edge_tick is not null;
comment on view report.blocking is 'who waited for whom at each tick, for which lock, and behind which root; filter on t0, by which the data is partitioned';

-- Rollups.

create view report.wait_minute as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       x.state,
       x.wait_event_type,
       x.wait_event,
       k.key is null as is_rest,
       k.samples,
       k.samples::double precision / nullif(r.ticks, 0) as average_sessions,
       k.peak as max_sessions
  from history.activity_rollup r
 cross join lateral unnest(array_append(r.keys, null), array_append(r.key_samples, r.tail_samples), r.key_peaks) as k (key, samples, peak)
  join pgam.server s on s.id = r.server_id
  left join history.wait x on x.server_id = r.server_id and x.id = k.key
 where r.step_seconds = 60
   and r.dimension = 1
   and k.samples > 0;
comment on view report.wait_minute is 'sessions by state and wait event of each minute; made when the minute''s ten are over';

create view report.activity_rollup as
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
comment on view report.activity_rollup is 'sessions by wait, query, database, user, application, client and backend type, of ten minutes (step_seconds 600), an hour (3600) or a day (86400), waits also of a minute (60); choose one step_seconds and dimension, and give time a range';

create view report.activity_total as
select t.server_id,
       s.name as server,
       t.bucket as "time",
       t.step_seconds,
       t.ticks_planned, t.ticks_ok, t.ticks_degraded, t.ticks_failed, t.ticks_skipped,
       t.samples::double precision / nullif(t.ticks_ok + t.ticks_degraded, 0) as average_active_sessions,
       t.max_sessions, t.max_backends,
       t.cpu, t.lock, t.lwlock, t.io, t.ipc, t.client, t.timeout, t.buffer_pin, t.extension, t.other, t.idle_in_transaction
  from history.activity_total t
  join pgam.server s on s.id = t.server_id;
comment on view report.activity_total is 'samples by wait class and hour (step_seconds 3600) or day (86400), with coverage; choose one step_seconds';

create view report.coverage as
select h.server_id,
       s.name as server,
       h."time",
       h.ticks_planned, h.ticks_ok, h.ticks_degraded, h.ticks_failed, h.ticks_skipped
  from (select t.server_id, t.bucket as "time", t.ticks_planned::bigint, t.ticks_ok::bigint, t.ticks_degraded::bigint, t.ticks_failed::bigint,
               t.ticks_skipped::bigint
          from history.activity_total t
         where t.step_seconds = 3600
           and not exists (
               select
                 from history.rollup_due u
                where u.server_id = t.server_id
                  and u.step_seconds in (600, 3600)
                  and u.bucket >= t.bucket
                  and u.bucket < t.bucket + interval '1 hour')
         union all
        -- Hours that are not over, or to which something came.
        select u.server_id, u."time", m.planned, m.ok, m.degraded, m.failed, m.skipped
          from (select distinct d.server_id, date_bin('1 hour', d.bucket, timestamptz 'epoch') as "time"
                  from history.rollup_due d
                 where d.step_seconds in (600, 3600)) u
         cross join lateral (
               select sum(m.ticks_planned) as planned, sum(m.ticks_ok) as ok, sum(m.ticks_degraded) as degraded, sum(m.ticks_failed) as failed,
                      sum(m.ticks_skipped) as skipped
                 from history.activity_minute m
                where m.server_id = u.server_id
                  and m.minute >= u."time"
                  and m.minute < u."time" + interval '1 hour'
               having count(*) > 0) m) h
  join pgam.server s on s.id = h.server_id;
comment on view report.coverage is 'what became of the planned ticks of each hour; an hour in which no collector ran has no row';

-- What explains a step in a chart.

create view report.event as
select e.server_id, s.name as server, e.at as "time", e.kind, e.subject, e.old, e.new, e.detail
  from history.event e
  left join pgam.server s on s.id = e.server_id;
comment on view report.event is 'restarts, promotions, settings, databases that came and went, starts and stops of the collector';

create view report.setting as
select n.server_id, s.name as server, n.name, n.value, n.since as "time"
  from history.setting n
  join pgam.server s on s.id = n.server_id;
comment on view report.setting is 'pg_settings of each server as last seen';

create view report.horizon as
select h.server_id, s.name as server, h.sampled_at as "time", h.holder, h.name, h.xmin_age
  from history.horizon h
  join pgam.server s on s.id = h.server_id;
comment on view report.horizon is 'what beside sessions kept rows from being vacuumed: the oldest of each kind';

create view report.database as
select d.server_id, s.name as server, d.oid as database_oid, d.name as database_name, d.is_template, d.allow_connect, d.encoding, d.created_at,
       d.first_seen_at, d.last_seen_at, d.dropped_at
  from history.database d
  join pgam.server s on s.id = d.server_id;
comment on view report.database is 'inventory of databases, those that are gone too; a rename makes a new row with the same oid';

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
            (null, 't0', 'start of the window that holds the sample, UTC; filter on it'),
            ('activity_window', 't0', 'start of the window, UTC; samples lie within five minutes after it'),
            (null, 'time', 'instant of the sample, UTC'),
            ('activity_minute', 'time', 'start of the minute, UTC'),
            ('wait_minute', 'time', 'start of the minute, UTC'),
            ('activity_rollup', 'time', 'start of the bucket, UTC'),
            ('activity_total', 'time', 'start of the bucket, UTC'),
            ('database_rollup', 'time', 'start of the bucket, UTC'),
            ('disk_rollup', 'time', 'start of the hour, UTC'),
            ('coverage', 'time', 'start of the hour, UTC'),
            ('event', 'time', 'when it happened, or was first seen, UTC'),
            ('setting', 'time', 'since when it is known to be so, UTC'),
            (null, 'step_seconds', 'width of the bucket in seconds'),
            (null, 'day', 'UTC day'),
            (null, 'session_id', 'number of the session, good for its server and day'),
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
            (null, 'wait_id', 'number of the wait, good for its server'),
            (null, 'state', 'state as in pg_stat_activity; null: the rest of what is not listed'),
            (null, 'wait_event_type', 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed'),
            (null, 'wait_event', 'name of the wait event; empty: none'),
            (null, 'query_ref', 'number of the statement, good for its server'),
            (null, 'query_id', 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement'),
            (null, 'own_fingerprint', 'true: query_id is pgam''s fingerprint, as the server gave none'),
            (null, 'query', 'text of the statement as the server''s setting keeps it: normalized, full, or null'),
            (null, 'first_seen_on', 'UTC day when it was first seen'),
            (null, 'last_seen_on', 'UTC day when it was last seen'),
            (null, 'query_start', 'when the statement began, UTC, to the millisecond; null: not known'),
            (null, 'xact_start', 'when the transaction began, UTC, to the millisecond; null: in none'),
            (null, 'state_change', 'when the state last changed, UTC, to the millisecond; null: not known'),
            ('activity', 'xmin_age', 'transactions between the start of the window (of 15 s, as sampled) and the session''s xmin; null: none worth keeping'),
            ('horizon', 'xmin_age', 'transactions since'),
            (null, 'blocked_by_pid', 'process id of the first session that blocks this one; null: none, or not known'),
            (null, 'blocked', 'true: the session waits for another; report.blocking says for whom'),
            (null, 'burst', 'true: the tick was taken in full detail, because the server was busy'),
            (null, 'outcome', 'ok, degraded (some was not answered), failed or skipped'),
            (null, 'reason', 'why it was not ok; null: it was'),
            (null, 'duration_ms', 'milliseconds the visit took'),
            (null, 'backends', 'connections to a database, idle ones too; null: not answered'),
            (null, 'span_ms', 'milliseconds that the window covers'),
            (null, 'cadence_ms', 'milliseconds between planned ticks'),
            ('activity_window', 'samples', 'session samples in the row'),
            (null, 'xid_base', 'the server''s next transaction id at the first answered tick; null: not known'),
            (null, 'tick_offset_ms', 'milliseconds from t0, an element a planned tick'),
            (null, 'tick_outcome', '0 ok, 1 degraded, 2 failed, 3 skipped, an element a tick; null: all ok'),
            (null, 'tick_reason', 'number of the reason, an element a tick; null: all ok'),
            (null, 'tick_duration_us', 'microseconds the visit took, an element a tick'),
            (null, 'tick_backends', 'connections to a database, an element a tick; null elements: not answered'),
            (null, 'tick_burst', 'taken in full detail, an element a tick; null: none was'),
            (null, 'sample_tick', '1-based index into the tick arrays, an element a session sample'),
            (null, 'sample_session', 'session_id in report.session of the same server and day'),
            (null, 'sample_wait', 'wait_id in report.wait of the same server'),
            (null, 'sample_query', 'query_ref in report.query of the same server; null elements: no statement'),
            (null, 'sample_query_start_ms', 'milliseconds from t0 to query_start; null elements: not known'),
            (null, 'sample_xact_lead_ms', 'milliseconds from xact_start to query_start; null elements: in no transaction'),
            (null, 'sample_state_lag_ms', 'milliseconds from query_start to state_change; null: none'),
            (null, 'sample_xmin_age', 'transactions between the start of the window (as sampled) and the session''s xmin; null: none worth keeping'),
            (null, 'sample_blocker', 'session_id of the first that blocks; 0: not known; null: not blocked'),
            (null, 'edge_tick', '1-based index into the tick arrays, an element an edge; null: nobody waited for a lock'),
            (null, 'edge_blocked', 'session_id of the session that waits'),
            (null, 'edge_blocker', 'session_id of one that it waits for; 0: not known'),
            (null, 'edge_lock', 'number of the lock; 0: not known'),
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
            (null, 'buffer_pin', 'session samples that waited for a buffer pin'),
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
            (null, 'interval_seconds', 'seconds since the sample before, which the counters cover; null: first sample of an epoch'),
            (null, 'epoch', 'first sample since the counters began anew, UTC'),
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
            (null, 'inodes_free', 'inodes that are free; null: not known')
          ) as n (view, name, text)
          join pg_catalog.pg_class c on c.relnamespace = 'report'::regnamespace and c.relkind = 'v' and (n.view is null or n.view = c.relname)
          join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = n.name and a.attnum > 0
         order by c.oid, a.attnum, n.view nulls last
    loop
        execute format('comment on column report.%I.%I is %L', item.relname, item.attname, item.text);
    end loop;
end
$$;

---- create above / drop below ----

drop view report.database;
drop view report.horizon;
drop view report.setting;
drop view report.event;
drop view report.coverage;
drop view report.activity_total;
drop view report.activity_rollup;
drop view report.wait_minute;
drop view report.blocking;
drop function report.activity_between(text, timestamptz, timestamptz);
drop view report.activity_window;
drop view report.query;
drop view report.wait;
drop view report.session;

-- They must not hold on to columns that are younger than they.
drop view report.activity;
drop view report.tick;
create view report.activity as
select w.server_id,
       s.name as server,
       w.t0,
       w.t0 + w.tick_offset_ms[u.tick] * interval '1 millisecond' as "time",
       d.pid,
       d.backend_start,
       d.database_name,
       d.user_name,
       d.application_name,
       d.client_addr,
       d.backend_type,
       d.leader_pid,
       x.state,
       x.wait_event_type,
       x.wait_event,
       q.query_id,
       q.text as query,
       w.t0 + u.query_start_ms * interval '1 millisecond' as query_start,
       w.t0 + (u.query_start_ms::bigint - u.xact_lead_ms) * interval '1 millisecond' as xact_start,
       w.t0 + (u.query_start_ms::bigint + coalesce(u.state_lag_ms, 0)) * interval '1 millisecond' as state_change,
       u.xmin_age,
       b.pid as blocked_by_pid
  from history.activity_window w
 cross join lateral unnest(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms,
                           w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker)
       as u (tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin_age, blocker)
  join pgam.server s on s.id = w.server_id
  join history.wait x on x.server_id = w.server_id and x.id = u.wait
  left join history.session d on d.server_id = w.server_id and d.day = (w.t0 at time zone 'UTC')::date and d.id = u.session
  left join history.query q on q.server_id = w.server_id and q.id = u.query
  left join history.session b on b.server_id = w.server_id and b.day = (w.t0 at time zone 'UTC')::date and b.id = u.blocker;
comment on view report.activity is 'every session sample with text labels; filter on t0, by which the data is partitioned';
comment on column report.activity.t0 is 'start of the window that holds the sample; filter on it';
comment on column report.activity."time" is 'instant of the sample, UTC';
comment on column report.activity.query is 'normalized text';
comment on column report.activity.xmin_age is 'transactions between the window''s start and the session''s xmin; null: none worth keeping';
comment on column report.activity.blocked_by_pid is 'pid of the first session that blocks this one';
create view report.tick as
select w.server_id,
       s.name as server,
       w.t0,
       w.t0 + u.offset_ms * interval '1 millisecond' as "time",
       (array['ok', 'degraded', 'failed', 'skipped'])[coalesce(u.outcome, 0) + 1] as outcome,
       nullif(r.name, '') as reason,
       u.duration_us / 1000.0 as duration_ms,
       u.backends
  from history.activity_window w
 cross join lateral unnest(w.tick_offset_ms, w.tick_outcome, w.tick_reason, w.tick_duration_us, w.tick_backends)
       as u (offset_ms, outcome, reason, duration_us, backends)
  join pgam.server s on s.id = w.server_id
  left join history.reason r on r.id = coalesce(u.reason, 0);
comment on view report.tick is 'the ledger: every planned tick with its outcome';
comment on column report.tick.duration_ms is 'milliseconds the visit took';
comment on column report.tick.backends is 'backends connected to a database; null: not answered';
grant select on report.activity, report.tick to pgam_read;
