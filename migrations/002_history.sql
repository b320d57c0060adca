-- History: facts, partitioned by time in UTC. server_id comes first in every
-- key; no foreign key, sequence, trigger or DEFAULT partition here.

create table history.activity_window (
    server_id            bigint      not null,
    t0                   timestamptz not null,
    span_ms              integer     not null,
    cadence_ms           integer     not null,
    samples              integer     not null,
    xid_base             bigint,
    tick_offset_ms       integer[]   not null,
    tick_outcome         smallint[],
    tick_reason          smallint[],
    tick_duration_us     integer[]   not null,
    tick_backends        integer[]   not null,
    sample_tick          smallint[]  not null,
    sample_session       integer[]   not null,
    sample_wait          smallint[]  not null,
    sample_query         integer[]   not null,
    sample_query_start_ms integer[]  not null,
    sample_xact_lead_ms  integer[]   not null,
    sample_state_lag_ms  integer[],
    sample_xmin_age      integer[],
    sample_blocker       integer[],
    primary key (server_id, t0)
) partition by range (t0);

comment on table history.activity_window is 'one row a server and window: the ledger of planned ticks and every session seen, as parallel arrays of dictionary ids; read report.activity for text';
comment on column history.activity_window.t0 is 'start of the window, UTC, a multiple of its span';
comment on column history.activity_window.span_ms is 'length of the window in milliseconds';
comment on column history.activity_window.cadence_ms is 'milliseconds between planned ticks';
comment on column history.activity_window.samples is 'session samples in the row';
comment on column history.activity_window.xid_base is 'the server''s next transaction id at the first answered tick; null if unknown';
comment on column history.activity_window.tick_offset_ms is 'one element a planned tick: milliseconds from t0 to its start';
comment on column history.activity_window.tick_outcome is '0 ok, 1 degraded, 2 failed, 3 skipped; null: every tick was ok';
comment on column history.activity_window.tick_reason is 'reason of an outcome other than ok, see history.reason; null: every tick was ok';
comment on column history.activity_window.tick_duration_us is 'microseconds the visit took';
comment on column history.activity_window.tick_backends is 'backends connected to a database, idle ones too; null elements where not answered';
comment on column history.activity_window.sample_tick is '1-based index into the tick arrays';
comment on column history.activity_window.sample_session is 'history.session.id of the same server and UTC day';
comment on column history.activity_window.sample_wait is 'history.wait.id of the same server';
comment on column history.activity_window.sample_query is 'history.query.id of the same server; null: no statement';
comment on column history.activity_window.sample_query_start_ms is 'milliseconds from t0 to query_start, clamped to four bytes; null: unknown';
comment on column history.activity_window.sample_xact_lead_ms is 'query_start minus xact_start in milliseconds; null: not in a transaction';
comment on column history.activity_window.sample_state_lag_ms is 'state_change minus query_start in milliseconds; null: the same';
comment on column history.activity_window.sample_xmin_age is 'xid_base minus backend_xmin; null: none, or younger than the tick before';
comment on column history.activity_window.sample_blocker is 'history.session.id of the first backend that blocks this one; 0: blocked by one that is not a session; null: not blocked';

create table history.session (
    server_id        bigint      not null,
    day              date        not null,
    id               integer     not null,
    pid              integer     not null,
    backend_start    timestamptz,
    database_oid     oid,
    database_name    text,
    user_oid         oid,
    user_name        text,
    application_name text,
    client_addr      text,
    backend_type     text,
    leader_pid       integer,
    primary key (server_id, day, id)
) partition by range (day);
comment on table history.session is 'sessions seen on a UTC day; one that lives over midnight is written again, so a day''s windows and sessions go together';
comment on column history.session.client_addr is 'client address as text; null for a Unix socket or a background process';
comment on column history.session.leader_pid is 'leader of a parallel worker (PostgreSQL 13 and later)';

create table history.wait (
    server_id       bigint   not null,
    id              smallint not null,
    state           text     not null,
    wait_event_type text     not null,
    wait_event      text     not null,
    primary key (server_id, id)
);
comment on table history.wait is 'what a session was doing: state and wait; wait_event_type CPU where PostgreSQL reports no wait';

create table history.query (
    server_id     bigint  not null,
    id            integer not null,
    query_id      bigint  not null,
    own           boolean not null,
    text          text,
    first_seen_on date    not null,
    last_seen_on  date    not null,
    primary key (server_id, id)
);
comment on table history.query is 'statements; expires when no kept window can hold it';
comment on column history.query.query_id is 'PostgreSQL''s query_id, or pgam''s fingerprint where own is true';
comment on column history.query.own is 'true: the server gave no query_id and pgam computed a fingerprint of the text';
comment on column history.query.text is 'normalized: literals taken out; null until it was seen';

create table history.reason (
    id   smallint primary key,
    name text     not null
);
comment on table history.reason is 'why a planned tick was not ok';
insert into history.reason (id, name) values
    (0, ''), (1, 'timeout'), (2, 'lock_timeout'), (3, 'connecting'), (4, 'unreachable'), (5, 'refused'),
    (6, 'auth_failed'), (7, 'too_many_connections'), (8, 'starting_up'), (9, 'connection_lost'),
    (10, 'no_privilege'), (11, 'unsupported'), (12, 'no_database'), (13, 'tls_failed'), (14, 'overrun'),
    (15, 'late'), (16, 'not_running'), (17, 'malformed'), (18, 'other'), (19, 'backing_off'), (20, 'truncated');

create table history.activity_minute (
    server_id           bigint      not null,
    minute              timestamptz not null,
    cadence_ms          integer     not null,
    ticks_planned       integer     not null,
    ticks_ok            integer     not null,
    ticks_degraded      integer     not null,
    ticks_failed        integer     not null,
    ticks_skipped       integer     not null,
    samples             integer     not null,
    cpu                 integer     not null,
    lock                integer     not null,
    lwlock              integer     not null,
    io                  integer     not null,
    ipc                 integer     not null,
    client              integer     not null,
    timeout             integer     not null,
    buffer_pin          integer     not null,
    extension           integer     not null,
    other               integer     not null,
    idle_in_transaction integer     not null,
    max_sessions        integer     not null,
    max_backends        integer,
    primary key (server_id, minute)
) partition by range (minute);
comment on table history.activity_minute is 'one row a server and minute: session samples by wait class and the ledger; divide by ticks_ok + ticks_degraded for average active sessions';
comment on column history.activity_minute.samples is 'session samples of the minute, the sum of the class columns';
comment on column history.activity_minute.cpu is 'samples of active sessions with no wait event';
comment on column history.activity_minute.idle_in_transaction is 'samples of sessions idle in a transaction, whatever they wait for; in no other class';
comment on column history.activity_minute.max_sessions is 'most sessions in one tick';
comment on column history.activity_minute.max_backends is 'most backends connected to a database in one tick; null: never known';

create table history.server_identity (
    server_id         bigint      not null,
    since             timestamptz not null,
    version_num       integer     not null,
    version           text        not null,
    system_identifier bigint,
    timeline_id       integer,
    postmaster_start  timestamptz not null,
    in_recovery       boolean     not null,
    primary key (server_id, since)
);
comment on table history.server_identity is 'which instance answered, from when on; a new row at every restart, promotion, upgrade or change of instance';

create table history.database (
    server_id     bigint      not null,
    oid           oid         not null,
    name          text        not null,
    is_template   boolean     not null,
    allow_connect boolean     not null,
    encoding      text,
    created_at    timestamptz,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    dropped_at    timestamptz,
    primary key (server_id, oid, name)
);
comment on table history.database is 'inventory of databases; a rename makes a new row with the same oid';
comment on column history.database.created_at is 'when it was created, to the inventory interval; null: it was there before the first look';
comment on column history.database.dropped_at is 'first inventory without it; null: it is there';

create table history.database_stat (
    server_id       bigint      not null,
    sampled_at      timestamptz not null,
    database_oid    oid         not null,
    numbackends     integer,
    interval_seconds double precision,
    epoch           timestamptz not null,
    stats_reset     timestamptz,
    checksum_last_failure timestamptz,
    xact_commit_total bigint, xact_commit bigint,
    xact_rollback_total bigint, xact_rollback bigint,
    blks_read_total bigint, blks_read bigint,
    blks_hit_total bigint, blks_hit bigint,
    tup_returned_total bigint, tup_returned bigint,
    tup_fetched_total bigint, tup_fetched bigint,
    tup_inserted_total bigint, tup_inserted bigint,
    tup_updated_total bigint, tup_updated bigint,
    tup_deleted_total bigint, tup_deleted bigint,
    conflicts_total bigint, conflicts bigint,
    temp_files_total bigint, temp_files bigint,
    temp_bytes_total bigint, temp_bytes bigint,
    deadlocks_total bigint, deadlocks bigint,
    checksum_failures_total bigint, checksum_failures bigint,
    sessions_total bigint, sessions bigint,
    sessions_abandoned_total bigint, sessions_abandoned bigint,
    sessions_fatal_total bigint, sessions_fatal bigint,
    sessions_killed_total bigint, sessions_killed bigint,
    parallel_workers_to_launch_total bigint, parallel_workers_to_launch bigint,
    parallel_workers_launched_total bigint, parallel_workers_launched bigint,
    blk_read_time_ms_total double precision, blk_read_time_ms double precision,
    blk_write_time_ms_total double precision, blk_write_time_ms double precision,
    session_time_ms_total double precision, session_time_ms double precision,
    active_time_ms_total double precision, active_time_ms double precision,
    idle_in_transaction_time_ms_total double precision, idle_in_transaction_time_ms double precision,
    primary key (server_id, sampled_at, database_oid)
) partition by range (sampled_at);
comment on table history.database_stat is 'pg_stat_database: counters since the epoch (_total) and what was added since the sample before (no suffix); a database in which nothing changed is written every five minutes only, so a missing row means zero, not unknown';
comment on column history.database_stat.database_oid is 'oid in history.database; 0: shared objects';
comment on column history.database_stat.numbackends is 'connections at this instant; null for shared objects';
comment on column history.database_stat.interval_seconds is 'seconds since the sample before, which the columns without _total cover; null: first sample of an epoch';
comment on column history.database_stat.epoch is 'instant of the first sample since the counters began anew (restart, reset, new oid, another instance, a counter that went back)';
comment on column history.database_stat.blk_read_time_ms is 'milliseconds; needs track_io_timing on the server';
comment on column history.database_stat.sessions is 'sessions established; PostgreSQL 14 and later';

create table history.database_size (
    server_id    bigint      not null,
    sampled_at   timestamptz not null,
    database_oid oid         not null,
    size_bytes   bigint,
    duration_ms  integer     not null,
    reason       smallint    not null,
    primary key (server_id, sampled_at, database_oid)
) partition by range (sampled_at);
comment on table history.database_size is 'pg_database_size, one database at a time, each with its own instant';
comment on column history.database_size.size_bytes is 'bytes on disk; null: it could not be read, reason says why';
comment on column history.database_size.reason is 'history.reason.id; 0 when the size is known';

-- Views. They add names and put the clock on every sample; they filter on the
-- columns that partitions are made by, so give t0, minute or time a range.

create view report.server as
select s.id as server_id, s.name as server, s.host, s.port, s.enabled, s.created_at
  from pgam.server s
 where s.deleted_at is null;
comment on view report.server is 'watched servers, without anything secret';

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

create view report.activity_minute as
select m.server_id,
       s.name as server,
       m.minute as "time",
       m.ticks_planned, m.ticks_ok, m.ticks_degraded, m.ticks_failed, m.ticks_skipped,
       m.samples::double precision / nullif(m.ticks_ok + m.ticks_degraded, 0) as average_active_sessions,
       m.max_sessions, m.max_backends,
       m.cpu, m.lock, m.lwlock, m.io, m.ipc, m.client, m.timeout, m.buffer_pin, m.extension, m.other, m.idle_in_transaction
  from history.activity_minute m
  join pgam.server s on s.id = m.server_id;
comment on view report.activity_minute is 'samples by wait class and minute, with coverage';
comment on column report.activity_minute.average_active_sessions is 'mean number of sessions that were not idle; null: no tick was answered';

create view report.database_stat as
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
comment on view report.database_stat is 'what each database did since the sample before; a database without change has a row every five minutes only';

create view report.database_size as
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
comment on view report.database_size is 'bytes on disk of each database over time';

grant select on all tables in schema report to pgam_read;

---- create above / drop below ----

drop schema report cascade;
drop schema history cascade;
create schema history;
create schema report;
