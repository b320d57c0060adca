-- Samples are rows of ticks with a dictionary of their own. What is flushed goes
-- to activity_recent, one row a slot of 15 seconds; what is compacted to activity,
-- one row a bucket of ten minutes, or several parts of it.

create table history.progress (
    server_id bigint primary key,
    flushes bigint not null default 0,
    flushed_at timestamptz,
    compacted_until timestamptz,
    databases_from timestamptz
);
comment on table history.progress is 'one row a server: whoever writes its samples, or compacts them, locks this row first';
comment on column history.progress.flushes is 'how often samples of the server were written: fewer than before tells of an older stats_db';
comment on column history.progress.databases_from is 'the oldest look at databases that is not in the rollups; null where all are';
comment on column history.progress.flushed_at is 'when samples were last written, by this database''s clock';
comment on column history.progress.compacted_until is 'end of the newest bucket that was compacted; older slots may have come since';

create table history.activity_recent (
    server_id bigint not null,
    slot timestamptz not null check (slot = date_bin('15 seconds', slot, timestamptz 'epoch')),
    written_at timestamptz not null default now(),
    late boolean not null default false, -- its bucket was compacted before it came: nobody looks at it before it is merged in
    first_planned_ms integer not null,
    last_planned_ms integer not null,
    first_cadence_ms integer not null,
    cadence_ms integer not null,
    ticks_ok integer not null,
    ticks_degraded integer not null,
    ticks_failed integer not null,
    ticks_skipped integer not null,
    ticks_missing integer not null,
    first_seen_ms integer,
    last_seen_ms integer,
    longest_gap_ms integer not null,
    fault_outcome smallint[],
    fault_reason smallint[],
    fault_ticks integer[],
    samples bigint not null,
    max_sessions integer not null,
    max_backends integer,
    cpu bigint not null,
    lock bigint not null,
    lwlock bigint not null,
    io bigint not null,
    ipc bigint not null,
    client bigint not null,
    timeout bigint not null,
    buffer bigint not null,
    extension bigint not null,
    other bigint not null,
    idle_in_transaction bigint not null,
    tick_planned_ms integer[] not null,
    tick_delay_ms integer[] not null,
    tick_cadence_ms integer[] not null,
    tick_outcome smallint[],
    tick_reason smallint[],
    tick_duration_us integer[] not null,
    tick_backends integer[] not null,
    tick_next_xid bigint[] not null,
    tick_burst boolean[],
    tick_edges_cut integer[],
    session_keys bigint[] not null,
    wait_keys bigint[] not null,
    wait_class smallint[] not null,
    query_keys bigint[] not null,
    lock_keys bigint[] not null,
    sample_tick smallint[] not null,
    sample_session integer[] not null,
    sample_wait smallint[] not null,
    sample_query integer[] not null,
    sample_query_start_ms integer[] not null,
    sample_xact_lead_ms integer[] not null,
    sample_state_lag_ms integer[],
    sample_xmin integer[],
    sample_blocker integer[],
    edge_tick smallint[],
    edge_blocked integer[],
    edge_blocker integer[],
    edge_lock integer[],
    primary key (server_id, slot),
    constraint activity_recent_ticks check (
        cardinality(tick_planned_ms) > 0 and array_ndims(tick_planned_ms) = 1
        and 0 <= all (tick_planned_ms) and 600000 > all (tick_planned_ms)
        and cardinality(tick_delay_ms) = cardinality(tick_planned_ms)
        and cardinality(tick_cadence_ms) = cardinality(tick_planned_ms)
        and cardinality(tick_duration_us) = cardinality(tick_planned_ms)
        and cardinality(tick_backends) = cardinality(tick_planned_ms)
        and cardinality(tick_next_xid) = cardinality(tick_planned_ms)
        and (tick_outcome is null) = (tick_reason is null)
        and coalesce(cardinality(tick_outcome), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)
        and coalesce(cardinality(tick_reason), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)
        and coalesce(cardinality(tick_burst), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)
        and coalesce(cardinality(tick_edges_cut), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)),
    constraint activity_recent_samples check (
        cardinality(sample_session) = cardinality(sample_tick)
        and cardinality(sample_wait) = cardinality(sample_tick)
        and cardinality(sample_query) = cardinality(sample_tick)
        and cardinality(sample_query_start_ms) = cardinality(sample_tick)
        and cardinality(sample_xact_lead_ms) = cardinality(sample_tick)
        and coalesce(cardinality(sample_state_lag_ms), cardinality(sample_tick)) = cardinality(sample_tick)
        and coalesce(cardinality(sample_xmin), cardinality(sample_tick)) = cardinality(sample_tick)
        and coalesce(cardinality(sample_blocker), cardinality(sample_tick)) = cardinality(sample_tick)
        and cardinality(wait_class) = cardinality(wait_keys)
        and 1 <= all (sample_tick) and cardinality(tick_planned_ms) >= all (sample_tick)
        and 1 <= all (sample_session) and cardinality(session_keys) >= all (sample_session)
        and 1 <= all (sample_wait) and cardinality(wait_keys) >= all (sample_wait)
        and 0 <= all (sample_query) and cardinality(query_keys) >= all (sample_query)),
    constraint activity_recent_edges check (
        coalesce(cardinality(edge_blocked), 0) = coalesce(cardinality(edge_tick), 0)
        and coalesce(cardinality(edge_blocker), 0) = coalesce(cardinality(edge_tick), 0)
        and coalesce(cardinality(edge_lock), 0) = coalesce(cardinality(edge_tick), 0)
        and (edge_tick is null or 1 <= all (edge_tick) and cardinality(tick_planned_ms) >= all (edge_tick)))
) with (toast_tuple_target = 128, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.2);

create table history.activity (
    server_id bigint not null,
    bucket timestamptz not null check (bucket = date_bin('10 minutes', bucket, timestamptz 'epoch')),
    part integer not null,
    samples integer not null,
    tick_planned_ms integer[] not null,
    tick_delay_ms integer[] not null,
    tick_cadence_ms integer[] not null,
    tick_outcome smallint[],
    tick_reason smallint[],
    tick_duration_us integer[] not null,
    tick_backends integer[] not null,
    tick_next_xid bigint[] not null,
    tick_burst boolean[],
    tick_edges_cut integer[],
    session_keys bigint[] not null,
    wait_keys bigint[] not null,
    wait_class smallint[] not null,
    query_keys bigint[] not null,
    lock_keys bigint[] not null,
    sample_tick smallint[] not null,
    sample_session integer[] not null,
    sample_wait smallint[] not null,
    sample_query integer[] not null,
    sample_query_start_ms integer[] not null,
    sample_xact_lead_ms integer[] not null,
    sample_state_lag_ms integer[],
    sample_xmin integer[],
    sample_blocker integer[],
    edge_tick smallint[],
    edge_blocked integer[],
    edge_blocker integer[],
    edge_lock integer[],
    primary key (server_id, bucket, part),
    constraint activity_ticks check (
        cardinality(tick_planned_ms) > 0 and array_ndims(tick_planned_ms) = 1
        and 0 <= all (tick_planned_ms) and 600000 > all (tick_planned_ms)
        and cardinality(tick_delay_ms) = cardinality(tick_planned_ms)
        and cardinality(tick_cadence_ms) = cardinality(tick_planned_ms)
        and cardinality(tick_duration_us) = cardinality(tick_planned_ms)
        and cardinality(tick_backends) = cardinality(tick_planned_ms)
        and cardinality(tick_next_xid) = cardinality(tick_planned_ms)
        and (tick_outcome is null) = (tick_reason is null)
        and coalesce(cardinality(tick_outcome), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)
        and coalesce(cardinality(tick_reason), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)
        and coalesce(cardinality(tick_burst), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)
        and coalesce(cardinality(tick_edges_cut), cardinality(tick_planned_ms)) = cardinality(tick_planned_ms)),
    constraint activity_samples check (
        cardinality(sample_session) = cardinality(sample_tick)
        and cardinality(sample_wait) = cardinality(sample_tick)
        and cardinality(sample_query) = cardinality(sample_tick)
        and cardinality(sample_query_start_ms) = cardinality(sample_tick)
        and cardinality(sample_xact_lead_ms) = cardinality(sample_tick)
        and coalesce(cardinality(sample_state_lag_ms), cardinality(sample_tick)) = cardinality(sample_tick)
        and coalesce(cardinality(sample_xmin), cardinality(sample_tick)) = cardinality(sample_tick)
        and coalesce(cardinality(sample_blocker), cardinality(sample_tick)) = cardinality(sample_tick)
        and cardinality(wait_class) = cardinality(wait_keys)
        and 1 <= all (sample_tick) and cardinality(tick_planned_ms) >= all (sample_tick)
        and 1 <= all (sample_session) and cardinality(session_keys) >= all (sample_session)
        and 1 <= all (sample_wait) and cardinality(wait_keys) >= all (sample_wait)
        and 0 <= all (sample_query) and cardinality(query_keys) >= all (sample_query)),
    constraint activity_edges check (
        coalesce(cardinality(edge_blocked), 0) = coalesce(cardinality(edge_tick), 0)
        and coalesce(cardinality(edge_blocker), 0) = coalesce(cardinality(edge_tick), 0)
        and coalesce(cardinality(edge_lock), 0) = coalesce(cardinality(edge_tick), 0)
        and (edge_tick is null or 1 <= all (edge_tick) and cardinality(tick_planned_ms) >= all (edge_tick)))
) partition by range (bucket);

-- Derived rows are new: they have the ledger of their stretch.
drop table history.activity_minute cascade;
create table history.activity_minute (
    server_id bigint not null,
    minute timestamptz not null,
    first_planned_ms integer not null,
    last_planned_ms integer not null,
    first_cadence_ms integer not null,
    cadence_ms integer not null,
    ticks_ok integer not null,
    ticks_degraded integer not null,
    ticks_failed integer not null,
    ticks_skipped integer not null,
    ticks_missing integer not null,
    first_seen_ms integer,
    last_seen_ms integer,
    longest_gap_ms integer not null,
    fault_outcome smallint[],
    fault_reason smallint[],
    fault_ticks integer[],
    samples bigint not null,
    max_sessions integer not null,
    max_backends integer,
    cpu bigint not null,
    lock bigint not null,
    lwlock bigint not null,
    io bigint not null,
    ipc bigint not null,
    client bigint not null,
    timeout bigint not null,
    buffer bigint not null,
    extension bigint not null,
    other bigint not null,
    idle_in_transaction bigint not null,
    primary key (server_id, minute)
) partition by range (minute);

drop table history.activity_total cascade;
create table history.activity_total (
    server_id bigint not null,
    step_seconds integer not null,
    bucket timestamptz not null,
    first_planned_ms integer not null,
    last_planned_ms integer not null,
    first_cadence_ms integer not null,
    cadence_ms integer not null,
    ticks_ok integer not null,
    ticks_degraded integer not null,
    ticks_failed integer not null,
    ticks_skipped integer not null,
    ticks_missing integer not null,
    first_seen_ms integer,
    last_seen_ms integer,
    longest_gap_ms integer not null,
    fault_outcome smallint[],
    fault_reason smallint[],
    fault_ticks integer[],
    samples bigint not null,
    max_sessions integer not null,
    max_backends integer,
    cpu bigint not null,
    lock bigint not null,
    lwlock bigint not null,
    io bigint not null,
    ipc bigint not null,
    client bigint not null,
    timeout bigint not null,
    buffer bigint not null,
    extension bigint not null,
    other bigint not null,
    idle_in_transaction bigint not null,
    primary key (server_id, step_seconds, bucket)
) partition by range (bucket);

drop table history.activity_rollup cascade;
create table history.activity_rollup (
    server_id bigint not null,
    step_seconds integer not null,
    dimension smallint not null,
    bucket timestamptz not null,
    ticks integer not null,
    samples bigint not null,
    keys bigint[] not null,
    key_samples bigint[] not null,
    key_peaks integer[] not null,
    tail_keys integer not null,
    tail_samples bigint not null,
    primary key (server_id, step_seconds, dimension, bucket),
    constraint activity_rollup_keys check (cardinality(key_samples) = cardinality(keys) and cardinality(key_peaks) = cardinality(keys))
) partition by range (step_seconds, bucket);

-- Names are content, so nobody hands them out.
drop table history.session, history.wait, history.query, history.lock, history.label cascade;

create table history.session (
    server_id bigint not null,
    day date not null,
    key bigint not null,
    pid integer not null,
    backend_start timestamptz,
    database_oid oid,
    database_name text,
    user_oid oid,
    user_name text,
    application_name text,
    client_addr text,
    backend_type text,
    leader_pid integer,
    primary key (server_id, day, key)
) partition by range (day);

create table history.wait (
    server_id bigint not null,
    key bigint not null,
    class smallint not null,
    state text not null,
    wait_event_type text not null,
    wait_event text not null,
    last_seen_on date not null,
    primary key (server_id, key)
);

create table history.query (
    server_id bigint not null,
    key bigint not null,
    query_id bigint not null,
    own boolean not null,
    text text,
    text_full boolean not null default false,
    first_seen_on date not null,
    last_seen_on date not null,
    primary key (server_id, key)
);

create table history.lock (
    server_id bigint not null,
    key bigint not null,
    lock_type text not null,
    mode text not null,
    database_oid oid,
    relation_oid oid,
    relation_name text,
    first_seen_on date not null,
    last_seen_on date not null,
    primary key (server_id, key)
);

create table history.label (
    server_id bigint not null,
    key bigint not null,
    dimension smallint not null,
    text text not null,
    last_seen_on date not null,
    primary key (server_id, key)
);
