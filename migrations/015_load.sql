-- What load is. Samples of sessions that sleep because a throttle says so, or wait
-- for work, are listed and are in no sum: the id of their wait is negative. And
-- what PostgreSQL 19 calls Buffer is what was a pin of a buffer before, and the
-- lock on its content.

alter table history.activity_minute rename column buffer_pin to buffer;
alter table history.activity_total rename column buffer_pin to buffer;
alter view report.activity_minute rename column buffer_pin to buffer;
alter view report.activity_total rename column buffer_pin to buffer;
comment on column report.activity_minute.buffer is 'session samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';
comment on column report.activity_total.buffer is 'session samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';

comment on column history.wait.id is 'negative: no load, for it waits for work or sleeps because a throttle says so; such samples are in no sum';
comment on column history.wait.wait_event_type is 'CPU where PostgreSQL reports no wait, empty where it does not tell';
comment on column history.activity_window.sample_wait is 'history.wait.id of the same server; negative: no load';
comment on column history.activity_window.samples is 'session samples in the row, with those that are no load';
comment on column history.activity_window.tick_backends is 'connections of what max_connections allows, idle ones too: client backends, before PostgreSQL 12 walsenders too; null elements where not answered';
comment on column history.activity_window.sample_xact_lead_ms is 'query_start minus xact_start in milliseconds; null: in no transaction that others may have to wait for, as VACUUM and walsenders';
comment on column history.activity_minute.samples is 'session samples of the minute that are load, the sum of the class columns';
comment on column history.activity_minute.max_sessions is 'most sessions in one tick that are load';
comment on column history.activity_minute.max_backends is 'most connections in one tick; null: never known';
comment on column history.activity_total.max_backends is 'most connections in one tick; null: never known';

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
       coalesce(w.tick_burst[u.tick], false) as burst,
       u.wait > 0 as load
  from history.activity_window w
 cross join lateral unnest(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms,
                           w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker)
       as u (tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin_age, blocker)
  join pgam.server s on s.id = w.server_id
  join history.wait x on x.server_id = w.server_id and x.id = u.wait
  left join history.session d on d.server_id = w.server_id and d.day = (w.t0 at time zone 'UTC')::date and d.id = u.session
  left join history.query q on q.server_id = w.server_id and q.id = u.query
  left join history.session b on b.server_id = w.server_id and b.day = (w.t0 at time zone 'UTC')::date and b.id = u.blocker;
comment on column report.activity.load is 'false: no load, for it waits for work or sleeps because a throttle says so; leave it out of what is counted';

create or replace function report.activity_between(server text, "from" timestamptz, "to" timestamptz)
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
       coalesce(w.tick_burst[u.tick], false),
       u.wait > 0
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

create or replace function report.activity_by(server text, dimension text, "from" timestamptz, "to" timestamptz)
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
         from unnest(w.sample_tick, case when $2 = 'wait' then w.sample_wait::integer[] when $2 = 'query' then w.sample_query else w.sample_session end,
                     w.sample_wait) as a (tick, id, wait)
        cross join (select case when $4 - $3 <= interval '30 minutes' then 1000 else 15000 end as slot) g
        where a.wait > 0
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

drop function report.activity_grain(timestamptz, timestamptz);
create function report.activity_grain("from" timestamptz, "to" timestamptz)
returns table (server_id bigint, server text, "time" timestamptz, step_seconds integer, ticks_planned bigint, ticks_ok bigint, ticks_degraded bigint,
               ticks_failed bigint, ticks_skipped bigint, samples bigint, max_sessions integer, max_backends integer, cpu bigint, lock bigint, lwlock bigint,
               io bigint, ipc bigint, client bigint, timeout bigint, buffer bigint, extension bigint, other bigint,
               idle_in_transaction bigint)
language sql stable
as $$
select m.server_id, m.server, m."time", 60, m.ticks_planned, m.ticks_ok, m.ticks_degraded, m.ticks_failed, m.ticks_skipped,
       m.cpu + m.lock + m.lwlock + m.io + m.ipc + m.client + m.timeout + m.buffer + m.extension + m.other + m.idle_in_transaction,
       m.max_sessions, m.max_backends, m.cpu, m.lock, m.lwlock, m.io, m.ipc, m.client, m.timeout, m.buffer, m.extension, m.other, m.idle_in_transaction
  from report.activity_minute m
 where $2 - $1 <= interval '2 days'
   and m."time" >= $1
   and m."time" < $2
 union all
select t.server_id, t.server, t."time", t.step_seconds, t.ticks_planned, t.ticks_ok, t.ticks_degraded, t.ticks_failed, t.ticks_skipped,
       t.cpu + t.lock + t.lwlock + t.io + t.ipc + t.client + t.timeout + t.buffer + t.extension + t.other + t.idle_in_transaction,
       t.max_sessions, t.max_backends, t.cpu, t.lock, t.lwlock, t.io, t.ipc, t.client, t.timeout, t.buffer, t.extension, t.other,
       t.idle_in_transaction
  from report.activity_total t
 where $2 - $1 > interval '2 days'
   and t.step_seconds = case when $2 - $1 <= interval '400 days' then 3600 else 86400 end
   and t."time" >= $1
   and t."time" < $2
$$;
comment on function report.activity_grain(timestamptz, timestamptz) is 'samples by wait class and the ledger of all servers: by minute up to two days, beyond that by hour, and by day beyond 400';

---- create above / drop below ----

drop function report.activity_grain(timestamptz, timestamptz);
create or replace function report.activity_by(server text, dimension text, "from" timestamptz, "to" timestamptz)
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
drop function report.activity_between(text, timestamptz, timestamptz);
drop view report.activity;
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
comment on column report.activity.server_id is 'id of the server, never reused';
comment on column report.activity.server is 'name of the server; null: the monitor itself';
comment on column report.activity.t0 is 'start of the window that holds the sample, UTC; filter on it';
comment on column report.activity."time" is 'instant of the sample, UTC';
comment on column report.activity.pid is 'process id; 0: a prepared transaction';
comment on column report.activity.backend_start is 'when the session began, UTC; null: not known';
comment on column report.activity.database_name is 'name of the database; null: none, or shared objects';
comment on column report.activity.user_name is 'name of the role; null: none';
comment on column report.activity.application_name is 'as the client set it; of a prepared transaction its identifier';
comment on column report.activity.client_addr is 'client address; null: a Unix socket or a background process';
comment on column report.activity.backend_type is 'client backend, autovacuum worker, prepared transaction …';
comment on column report.activity.leader_pid is 'process id of a parallel worker''s leader (PostgreSQL 13 and later); null: it is none';
comment on column report.activity.state is 'state as in pg_stat_activity; null: the rest of what is not listed';
comment on column report.activity.wait_event_type is 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed';
comment on column report.activity.wait_event is 'name of the wait event; empty: none';
comment on column report.activity.query_id is 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement';
comment on column report.activity.query is 'text of the statement as the server''s setting keeps it: normalized, full, or null';
comment on column report.activity.query_start is 'when the statement began, UTC, to the millisecond; null: not known';
comment on column report.activity.xact_start is 'when the transaction began, UTC, to the millisecond; null: in none';
comment on column report.activity.state_change is 'when the state last changed, UTC, to the millisecond; null: not known';
comment on column report.activity.xmin_age is 'transactions between the start of the window (of 15 s, as sampled) and the session''s xmin; null: none worth keeping';
comment on column report.activity.blocked_by_pid is 'process id of the first session that blocks this one; null: none, or not known';
comment on column report.activity.blocked is 'true: the session waits for another; report.blocking says for whom';
comment on column report.activity.burst is 'true: the tick was taken in full detail, because the server was busy';

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
alter table history.activity_minute rename column buffer to buffer_pin;
alter table history.activity_total rename column buffer to buffer_pin;
alter view report.activity_minute rename column buffer to buffer_pin;
alter view report.activity_total rename column buffer to buffer_pin;
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
grant select on report.activity to pgam_read;
