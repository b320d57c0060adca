-- What happened at 03:12: blocking, events, rollups of activity by every
-- dimension; settings that can be changed while running.

alter table history.server_identity
    add column checkpointer_start timestamptz;
comment on column history.server_identity.checkpointer_start is 'when the checkpointer started: later than before with the same postmaster_start, the server had crashed; null: not known';

alter table history.activity_window
    add column edge_tick    smallint[],
    add column edge_blocked integer[],
    add column edge_blocker integer[],
    add column edge_lock    integer[],
    add column tick_burst   boolean[];
comment on column history.activity_window.edge_tick is 'who waits for whom, one element an edge: 1-based index into the tick arrays; null: nobody waited for a lock';
comment on column history.activity_window.edge_blocked is 'history.session.id of the session that waits';
comment on column history.activity_window.edge_blocker is 'history.session.id of one that it waits for; a prepared transaction is a session with pid 0; 0: not known';
comment on column history.activity_window.edge_lock is 'history.lock.id of what is waited for; 0: not known';
comment on column history.activity_window.tick_burst is 'one element a planned tick: it was taken in full detail; null: none was';

create table history.lock (
    server_id     bigint  not null,
    id            integer not null,
    lock_type     text    not null,
    mode          text    not null,
    database_oid  oid,
    relation_oid  oid,
    relation_name text,
    first_seen_on date    not null,
    last_seen_on  date    not null,
    primary key (server_id, id)
);
comment on table history.lock is 'what sessions waited for; expires when no kept window can hold it';
comment on column history.lock.lock_type is 'as in pg_locks: relation, tuple, transactionid, advisory …';
comment on column history.lock.mode is 'the mode that was asked for';
comment on column history.lock.database_oid is 'null: shared object, or not about a database';
comment on column history.lock.relation_oid is 'null: not about a relation';
comment on column history.lock.relation_name is 'schema and name when it was first seen; null: could not be read';

create table history.label (
    server_id bigint   not null,
    id        integer  not null,
    dimension smallint not null,
    text      text     not null,
    last_seen_on date  not null,
    primary key (server_id, id),
    unique (server_id, dimension, text)
);
comment on table history.label is 'texts that activity_rollup counts by';
comment on column history.label.dimension is '3 database, 4 user, 5 application, 6 client, 7 backend type';

create table history.activity_rollup (
    server_id    bigint      not null,
    step_seconds integer     not null,
    dimension    smallint    not null,
    bucket       timestamptz not null,
    ticks        integer     not null,
    samples      bigint      not null,
    keys         integer[]   not null,
    key_samples  bigint[]    not null,
    key_peaks    integer[]   not null,
    tail_keys    integer     not null,
    tail_samples bigint      not null,
    primary key (server_id, step_seconds, dimension, bucket)
) partition by range (step_seconds, bucket);
comment on table history.activity_rollup is 'session samples of a server, bucket and dimension by key: made from the windows when the bucket is over, and again when late windows come; divide by ticks for average sessions. Partitioned by step, then time: give both';
comment on column history.activity_rollup.step_seconds is 'width of the bucket: 60 (waits only), 600, 3600 or 86400';
comment on column history.activity_rollup.dimension is '1 wait (history.wait), 2 query (history.query), 3 database, 4 user, 5 application, 6 client, 7 backend type (history.label)';
comment on column history.activity_rollup.bucket is 'start of the bucket, UTC';
comment on column history.activity_rollup.ticks is 'answered ticks of the bucket';
comment on column history.activity_rollup.samples is 'session samples of the bucket: the sum of key_samples, and tail_samples';
comment on column history.activity_rollup.keys is 'ids of the dimension''s dictionary, the most frequent first; 0: none (no query, no database …)';
comment on column history.activity_rollup.key_samples is 'session samples of each key';
comment on column history.activity_rollup.key_peaks is 'most sessions of each key in one tick';
comment on column history.activity_rollup.tail_keys is 'at least so many keys are not listed, because they were more than 100';
comment on column history.activity_rollup.tail_samples is 'samples that are not counted under a key: of keys that are not listed, or were not in a finer bucket';

create table history.activity_total (
    server_id           bigint      not null,
    step_seconds        integer     not null,
    bucket              timestamptz not null,
    cadence_ms          integer     not null,
    ticks_planned       integer     not null,
    ticks_ok            integer     not null,
    ticks_degraded      integer     not null,
    ticks_failed        integer     not null,
    ticks_skipped       integer     not null,
    samples             bigint      not null,
    cpu                 bigint      not null,
    lock                bigint      not null,
    lwlock              bigint      not null,
    io                  bigint      not null,
    ipc                 bigint      not null,
    client              bigint      not null,
    timeout             bigint      not null,
    buffer_pin          bigint      not null,
    extension           bigint      not null,
    other               bigint      not null,
    idle_in_transaction bigint      not null,
    max_sessions        integer     not null,
    max_backends        integer,
    primary key (server_id, step_seconds, bucket)
) partition by range (bucket);
comment on table history.activity_total is 'activity_minute summed up by hour (step_seconds 3600) and day (86400): what a year is answered from';
comment on column history.activity_total.step_seconds is 'width of the bucket: 3600 or 86400';
comment on column history.activity_total.bucket is 'start of the bucket, UTC';
comment on column history.activity_total.cadence_ms is 'shortest of the bucket';
comment on column history.activity_total.samples is 'session samples, the sum of the class columns';
comment on column history.activity_total.max_sessions is 'most sessions in one tick';
comment on column history.activity_total.max_backends is 'most backends connected to a database in one tick; null: never known';

create table history.rollup_due (
    server_id    bigint      not null,
    step_seconds integer     not null,
    bucket       timestamptz not null,
    revision     integer     not null,
    primary key (server_id, step_seconds, bucket)
) with (fillfactor = 50);
comment on table history.rollup_due is 'buckets of activity_rollup and activity_total for which something came since they were made, the one that is not over yet too: answers take them from finer grains';
comment on column history.rollup_due.step_seconds is '600: windows came; 3600, 86400: finer buckets were made';
comment on column history.rollup_due.revision is 'counts what came: who made the bucket takes the row away only if nothing came meanwhile';

create table history.packed_day (
    day         date        not null primary key,
    packed_at   timestamptz not null,
    windows     bigint      not null,
    rows        bigint      not null,
    samples     bigint      not null,
    bytes_before bigint     not null,
    bytes_after bigint      not null,
    late        bigint      not null default 0
);
comment on table history.packed_day is 'days whose windows were packed into five minutes each';
comment on column history.packed_day.windows is 'windows before';
comment on column history.packed_day.rows is 'rows after';
comment on column history.packed_day.bytes_before is 'partition with indexes and TOAST';
comment on column history.packed_day.late is 'windows that came since; when they are many the day is packed again';

create table history.packing (
    server_id bigint      not null,
    day       date        not null,
    windows   bigint      not null,
    first_t0  timestamptz not null,
    last_t0   timestamptz not null,
    rows      bigint      not null,
    samples   bigint      not null,
    primary key (server_id, day)
);
comment on table history.packing is 'servers of a day that are packed beside its partition, until all are and it takes the partition''s place';
comment on column history.packing.windows is 'windows that were packed; with first_t0 and last_t0 it tells whether one came or went since';
comment on column history.packing.rows is 'rows after';

create table history.event (
    server_id bigint      not null,
    at        timestamptz not null,
    kind      text        not null,
    subject   text        not null,
    old       text,
    new       text,
    detail    text,
    primary key (server_id, at, kind, subject)
) partition by range (at);
comment on table history.event is 'what explains a step in a chart; server_id 0: the monitor itself';
comment on column history.event.kind is 'restart, crash, promotion, demotion, instance, version, setting, statistics_reset, database_created, database_dropped, database_renamed, collector_started, collector_stopped, collector_gap, collector_clock, server_added, server_changed, server_paused, server_removed, burst_started, burst_ended, clock_differs, clock_agrees';
comment on column history.event.subject is 'what it is about: a setting''s or database''s name; empty: the server';

create table history.setting (
    server_id bigint      not null,
    name      text        not null,
    value     text        not null,
    since     timestamptz not null,
    primary key (server_id, name)
);
comment on table history.setting is 'pg_settings of each server as last seen; values that may hold a secret are kept as a fingerprint';

create table history.horizon (
    server_id  bigint      not null,
    sampled_at timestamptz not null,
    holder     text        not null,
    name       text        not null,
    xmin_age   bigint      not null,
    primary key (server_id, sampled_at, holder, name)
) partition by range (sampled_at);
comment on table history.horizon is 'what beside sessions keeps rows from being vacuumed: the oldest of each kind, written when it changes and every five minutes';
comment on column history.horizon.holder is 'prepared_transaction, replication_slot or standby';
comment on column history.horizon.xmin_age is 'transactions since';

create table pgam.setting (
    name        text        primary key,
    value       text,
    environment text,
    revision    bigint      not null default nextval('pgam.revision'),
    updated_at  timestamptz not null default now(),
    updated_by  text        not null default ''
);
comment on table pgam.setting is 'settings of the collector that can be changed while it runs';
comment on column pgam.setting.value is 'as in the environment: 30d, true, 40; comes before that one; null: not changed';
comment on column pgam.setting.environment is 'what the collector was last started with; null: never started';
comment on column pgam.setting.revision is 'grows with every change, in one sequence with those of servers';
comment on column pgam.setting.updated_by is 'who changed it: a login, or cli';

alter table pgam.server
    add column query_texts               text not null default 'normalized' check (query_texts in ('normalized', 'full', 'none')),
    add column burst_active              integer check (burst_active >= 0),
    add column burst_lock_waits          integer check (burst_lock_waits >= 0),
    add column burst_connections_percent integer check (burst_connections_percent between 0 and 100);
comment on column pgam.server.query_texts is 'how statements are kept: normalized (literals taken out), full, or none';
comment on column pgam.server.burst_active is 'active sessions from which full detail is taken; 0: never; null: the collector''s setting';
comment on column pgam.server.burst_lock_waits is 'sessions waiting for locks from which full detail is taken; 0: never; null: the collector''s setting';
comment on column pgam.server.burst_connections_percent is 'connections in percent of max_connections from which full detail is taken; 0: never; null: the collector''s setting';

alter table history.query
    add column text_full boolean not null default false;
comment on column history.query.text is 'as query_texts of the server says, normalized by default: literals taken out; cut at 4096 bytes unless seen in a burst; null until it was seen, and where none is kept';
comment on column history.query.text_full is 'true: text is as the server showed it, with its literals';

-- What was sampled before there were rollups of activity.

insert into history.rollup_due (server_id, step_seconds, bucket, revision)
select distinct server_id, 600, date_bin('10 minutes', t0, timestamptz 'epoch'), 1
  from history.activity_window;
insert into history.rollup_due (server_id, step_seconds, bucket, revision)
select distinct server_id, 3600, date_bin('1 hour', minute, timestamptz 'epoch'), 1
  from history.activity_minute;

---- create above / drop below ----

alter table pgam.server drop column query_texts, drop column burst_active, drop column burst_lock_waits, drop column burst_connections_percent;
drop table pgam.setting;
drop table history.horizon;
drop table history.setting;
drop table history.event;
drop table history.packing;
drop table history.packed_day;
drop table history.rollup_due;
drop table history.activity_total;
drop table history.activity_rollup;
drop table history.label;
drop table history.lock;
alter table history.query drop column text_full;
comment on column history.query.text is 'normalized: literals taken out; null until it was seen';
alter table history.server_identity drop column checkpointer_start;
alter table history.activity_window
    drop column edge_tick, drop column edge_blocked, drop column edge_blocker, drop column edge_lock, drop column tick_burst;
