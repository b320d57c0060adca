-- The schema of stats_db.
--
-- pgam      servers that are watched, accounts, keys, settings; secrets are sealed
-- history   what was sampled, written by the collector only
-- report    read-only views for people, Grafana and BI

create schema pgam;
comment on schema pgam is 'pgam: servers, accounts and sealed secrets';
create schema history;
comment on schema history is 'pgam: what was sampled, partitioned by time; written by the collector only';
create schema report;
comment on schema report is 'pgam: stable read-only views for people, Grafana and BI';

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'pgam_read') then
        create role pgam_read nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then
        raise exception 'the role pgam_read does not exist and this user may not create it'
            using hint = 'Run as a superuser: create role pgam_read nologin;';
end
$$;
grant usage on schema report to pgam_read;

-- What is watched, and what is set.

create sequence pgam.revision as bigint;
comment on sequence pgam.revision is 'one number a change of any server; readers compare it to see that they are up to date';

create table pgam.ssh_key (
    id                bigint      generated always as identity primary key,
    name              text        not null unique,
    key_type          text        not null,
    bits              integer     not null,
    public_key        text        not null,
    fingerprint       text        not null unique,
    private_sealed    bytea       not null,
    passphrase_sealed bytea,
    description       text        not null default '',
    created_by        text        not null default '',
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);
comment on table pgam.ssh_key is 'managed SSH keys; the private part is sealed';
comment on column pgam.ssh_key.key_type is 'algorithm as SSH names it: ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 …';
comment on column pgam.ssh_key.public_key is 'the line for authorized_keys';
comment on column pgam.ssh_key.fingerprint is 'SHA256:… of the public key';
comment on column pgam.ssh_key.private_sealed is 'AEAD ciphertext of the private key in PEM, bound to id';
comment on column pgam.ssh_key.passphrase_sealed is 'AEAD ciphertext of the passphrase, bound to id; null: the private key has none';
comment on column pgam.ssh_key.created_by is 'login of the account that made or imported it';

create table pgam.server (
    id                         bigint      generated always as identity primary key,
    name                       text        not null,
    host                       text        not null,
    port                       integer     not null check (port between 1 and 65535),
    user_name                  text        not null,
    database_name              text        not null default 'postgres',
    tls_mode                   text        not null default 'prefer',
    password_sealed            bytea,
    ssh_user                   text        not null default '',
    ssh_port                   integer     not null default 22 check (ssh_port between 1 and 65535),
    ssh_password_sealed        bytea,
    stats_db                   text,
    pool_profile               text        not null default 'default',
    activity_interval_seconds  integer     check (activity_interval_seconds > 0),
    databases_interval_seconds integer     check (databases_interval_seconds > 0),
    inventory_interval_seconds integer     check (inventory_interval_seconds > 0),
    sizes_interval_seconds     integer     check (sizes_interval_seconds > 0),
    enabled                    boolean     not null default true,
    revision                   bigint      not null default nextval('pgam.revision'),
    created_at                 timestamptz not null default now(),
    updated_at                 timestamptz not null default now(),
    deleted_at                 timestamptz,
    ssh_host                   text        not null default '',
    ssh_key_id                 bigint      references pgam.ssh_key (id),
    ssh_host_key               text        not null default '',
    ssh_tunnel                 boolean     not null default false,
    disk_source                text        not null default '' check (disk_source in ('', 'none', 'ssh', 'local')),
    disks_interval_seconds     integer     check (disks_interval_seconds > 0),
    purge                      boolean     not null default false,
    query_texts                text        not null default 'normalized' check (query_texts in ('normalized', 'full', 'none')),
    burst_active               integer     check (burst_active >= 0),
    burst_lock_waits           integer     check (burst_lock_waits >= 0),
    burst_connections_percent  integer     check (burst_connections_percent between 0 and 100),
    allow_md5                  boolean     not null default false,
    session_control            text        check (session_control in ('off', 'cancel', 'terminate')),
    cpu_count                  integer     check (cpu_count between 1 and 65536)
);
create unique index server_name_key on pgam.server (name) where deleted_at is null;
create index server_revision_idx on pgam.server (revision);
create index server_ssh_key_idx on pgam.server (ssh_key_id) where ssh_key_id is not null;
comment on table pgam.server is 'watched servers; a deleted one stays as a row, hidden, as long as its history does';
comment on column pgam.server.id is 'never reused; every row of history belongs to it';
comment on column pgam.server.name is 'unique among the servers that are not deleted';
comment on column pgam.server.host is 'name, address, or absolute path of a Unix socket''s folder';
comment on column pgam.server.tls_mode is 'libpq''s sslmode';
comment on column pgam.server.password_sealed is 'AEAD ciphertext bound to id, host, port, user, TLS mode and allow_md5; the key is outside the database';
comment on column pgam.server.ssh_password_sealed is 'AEAD ciphertext bound to id, SSH host, ssh_port and ssh_user';
comment on column pgam.server.stats_db is 'kept for clients of the Python version; null for none';
comment on column pgam.server.pool_profile is 'size of the API''s pool: default, stats_db or high_load';
comment on column pgam.server.activity_interval_seconds is 'seconds between activity ticks; null: the collector''s setting';
comment on column pgam.server.databases_interval_seconds is 'seconds between reads of pg_stat_database; null: the collector''s setting';
comment on column pgam.server.inventory_interval_seconds is 'seconds between listings of databases; null: the collector''s setting';
comment on column pgam.server.sizes_interval_seconds is 'seconds between rounds of database sizes; null: the collector''s setting';
comment on column pgam.server.enabled is 'false pauses collection';
comment on column pgam.server.revision is 'from the sequence pgam.revision at the last change';
comment on column pgam.server.deleted_at is 'set when the server was removed: collection stops, history stays until retention';
comment on column pgam.server.ssh_host is 'where SSH goes; empty: host';
comment on column pgam.server.ssh_key_id is 'the managed key that logs in; null: the password does';
comment on column pgam.server.ssh_host_key is 'the host''s pinned public key; empty: not pinned';
comment on column pgam.server.ssh_tunnel is 'true: PostgreSQL is reached through SSH, and host and port are as the SSH host sees them';
comment on column pgam.server.disk_source is 'how disks are looked at: none, ssh, local; empty: ssh where there are an ssh_user and a host to go to';
comment on column pgam.server.disks_interval_seconds is 'seconds between looks at disks; null: the collector''s setting';
comment on column pgam.server.purge is 'true: the server was deleted with its history, which the collector is removing';
comment on column pgam.server.query_texts is 'how statements are kept: normalized (literals taken out), full, or none';
comment on column pgam.server.burst_active is 'active sessions from which full detail is taken; 0: never; null: the collector''s setting';
comment on column pgam.server.burst_lock_waits is 'sessions waiting for locks from which full detail is taken; 0: never; null: the collector''s setting';
comment on column pgam.server.burst_connections_percent is 'connections in percent of max_connections from which full detail is taken; 0: never; null: the collector''s setting';
comment on column pgam.server.allow_md5 is 'MD5, and SCRAM of few rounds, are answered though TLS does not verify who asks';
comment on column pgam.server.session_control is 'what operators may do with its sessions: off, cancel, terminate; null: as the API is set';
comment on column pgam.server.cpu_count is 'processors of the host, as somebody typed in; null: as history.cpu_count has it';

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

-- Who may ask. Tokens name the id of an account and an epoch that is drawn at random,
-- so that no token counts for another account, and none again once it was ended.
-- Whoever changes what the account may do ends its tokens, in SQL too.

create function pgam.new_token_epoch() returns bigint
language sql volatile
as $$ select 1 + floor(pg_catalog.random() * 9007199254740991)::bigint $$;
comment on function pgam.new_token_epoch() is 'a number from 1 to 2^53 - 1, drawn at random';

create table pgam.account (
    id            bigint      generated always as identity primary key,
    login         text        not null unique,
    password_hash text        not null,
    role          text        not null check (role in ('viewer', 'operator', 'admin')),
    active        boolean     not null default true,
    token_epoch   bigint      not null default pgam.new_token_epoch(),
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    last_login_at timestamptz
);
comment on table pgam.account is 'who may ask the API';
comment on column pgam.account.password_hash is 'bcrypt';
comment on column pgam.account.token_epoch is 'drawn at random; another one ends every token issued before';

create function pgam.renew_token_epoch() returns trigger
language plpgsql
as $$
begin
    if new.token_epoch = old.token_epoch then
        new.token_epoch := pgam.new_token_epoch();
    end if;
    return new;
end
$$;
comment on function pgam.renew_token_epoch() is 'ends the tokens of an account whose password, role or state was changed';

create trigger renew_token_epoch
    before update on pgam.account
    for each row
    when ((old.password_hash, old.role, old.active) is distinct from (new.password_hash, new.role, new.active))
    execute function pgam.renew_token_epoch();

-- Who logs out ends the tokens of that login, and of no other.
create table pgam.ended_session (
    account_id bigint not null references pgam.account (id) on delete cascade,
    session    text not null check (length(session) between 1 and 64),
    expires_at timestamptz not null,
    primary key (account_id, session)
);
comment on table pgam.ended_session is 'logins that were logged out; kept until the last token of the login has expired';
comment on column pgam.ended_session.session is 'claim sid of the tokens of the login';
comment on column pgam.ended_session.expires_at is 'when the last token of the login expires, at the latest';

-- Browsers that are logged in. Ending one is deleting its row.
create table pgam.session (
    token_hash  bytea       primary key check (length(token_hash) = 32),
    account_id  bigint      not null references pgam.account (id) on delete cascade,
    token_epoch bigint      not null,
    created_at  timestamptz not null default now(),
    used_at     timestamptz not null default now(),
    expires_at  timestamptz not null
);
create index session_account_idx on pgam.session (account_id, created_at);
create index session_expires_idx on pgam.session (expires_at);
comment on table pgam.session is 'browsers that are logged in; the API reads a row again after three seconds';
comment on column pgam.session.token_hash is 'SHA-256 of the token in the cookie, which is kept nowhere';
comment on column pgam.session.token_epoch is 'that of the account at the login; another one ends the session';
comment on column pgam.session.used_at is 'of the last request, to a minute';
comment on column pgam.session.expires_at is 'when it ends however much it is used';

-- What was done, and what was refused.
create table pgam.audit (
    id          bigint      generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    account     text        not null,
    client_addr inet,
    action      text        not null,
    server      text,
    detail      jsonb       not null default '{}',
    outcome     text        check (outcome in ('ok', 'refused', 'failed')),
    reason      text
);
create index audit_at_idx on pgam.audit (at);
comment on table pgam.audit is 'what was done to servers and their sessions, also what was refused; a row is there before the act';
comment on column pgam.audit.account is 'login of who asked';
comment on column pgam.audit.client_addr is 'from where; null: not known';
comment on column pgam.audit.action is 'session.cancel, session.terminate';
comment on column pgam.audit.server is 'name of the server, as it was then; null: none, or no name';
comment on column pgam.audit.detail is 'what it was done to: pid, backend_start, user, …';
comment on column pgam.audit.outcome is 'ok, refused or failed; null: not known, as where the program was ended meanwhile';
comment on column pgam.audit.reason is 'why it was refused or failed, as who asked was told; null: it was not';

-- Leaky buckets: how many attempts came from an address and a network of late,
-- and how many on an account from places that it does not know. Not logged: a
-- crash empties them, and they cost no write to a standby.
create unlogged table pgam.login_bucket (
    key       bytea            primary key,
    level     double precision not null,
    capacity  double precision not null,
    drain     double precision not null,
    is_full   boolean          not null default false,
    filled_at timestamptz      not null default now()
);
create index login_bucket_filled_idx on pgam.login_bucket (filled_at);
comment on table pgam.login_bucket is 'attempts to log in, of the last hour';
comment on column pgam.login_bucket.key is 'SHA-256 of what is counted: an address, a network or a login';
comment on column pgam.login_bucket.level is 'attempts that have not drained yet, as of filled_at';
comment on column pgam.login_bucket.capacity is 'attempts that it holds';
comment on column pgam.login_bucket.drain is 'attempts that run out of it in a second';
comment on column pgam.login_bucket.is_full is 'the last attempt found no room';

create table pgam.login_origin (
    account_id bigint      not null references pgam.account on delete cascade,
    network    text        not null,
    last_at    timestamptz not null default now(),
    primary key (account_id, network)
);
create index login_origin_network_idx on pgam.login_origin (network);
comment on table pgam.login_origin is 'where accounts have logged in from: they go first when many try';
comment on column pgam.login_origin.network is 'a /24 of IPv4, a /48 of IPv6';
comment on column pgam.login_origin.last_at is 'to a day';

-- Who samples, and into what.

create table pgam.lease (
    one        boolean     primary key default true check (one),
    holder     text,
    term       bigint      not null,
    beats      bigint      not null default 0,
    renewed_at timestamptz not null default clock_timestamp()
) with (fillfactor = 10);
comment on table pgam.lease is 'the one collector that samples; another takes over when beats stands still for ten seconds';
comment on column pgam.lease.one is 'there is one row';
comment on column pgam.lease.holder is 'host and journal of the collector; null: it gave the lease back';
comment on column pgam.lease.term is 'grows with every taking';
comment on column pgam.lease.beats is 'grows every two seconds while the holder is well';
comment on column pgam.lease.renewed_at is 'of the last beat, by this server''s clock; to look at, nothing is decided by it';

create table pgam.instance (
    one boolean primary key default true check (one),
    id  text    not null default md5(random()::text || clock_timestamp()::text)
) with (fillfactor = 10);
comment on table pgam.instance is 'which stats_db this is: one that was made anew under a running collector has another id';
comment on column pgam.instance.one is 'there is one row';
comment on column pgam.instance.id is 'drawn when it was made; a dump has it too: history.progress.flushes tells an older one';
insert into pgam.instance default values;

-- History: facts, partitioned by time in UTC. server_id comes first in every key; no
-- foreign key, sequence, trigger or DEFAULT partition here. The partitions are made
-- and dropped by the collector.

create table history.reason (
    id   smallint primary key,
    name text     not null
);
comment on table history.reason is 'why a planned tick was not ok';
insert into history.reason (id, name) values
    (0, ''), (1, 'timeout'), (2, 'lock_timeout'), (3, 'connecting'), (4, 'unreachable'), (5, 'refused'),
    (6, 'auth_failed'), (7, 'too_many_connections'), (8, 'starting_up'), (9, 'connection_lost'),
    (10, 'no_privilege'), (11, 'unsupported'), (12, 'no_database'), (13, 'tls_failed'), (14, 'overrun'),
    (15, 'late'), (16, 'not_running'), (17, 'malformed'), (18, 'other'), (19, 'backing_off'), (20, 'truncated'),
    (21, 'host_key_unknown'), (22, 'host_key_changed'), (23, 'pooler'), (24, 'not_found'), (25, 'oversized');

-- Samples. What a tick saw is named by keys: keyed hashes of what it is, the same
-- whoever saw it. What they stand for is in dictionaries.

create table history.progress (
    server_id bigint primary key,
    flushes bigint not null default 0,
    flushed_at timestamptz,
    compacted_until timestamptz,
    databases_from timestamptz
);
comment on table history.progress is 'one row a server: whoever writes its samples, or compacts them, locks this row first';
comment on column history.progress.flushes is 'how often samples of the server were written: fewer than before tells of an older stats_db';
comment on column history.progress.flushed_at is 'when samples were last written, by this database''s clock';
comment on column history.progress.compacted_until is 'end of the newest bucket that was compacted; older slots may have come since';
comment on column history.progress.databases_from is 'rollups of databases are right before the ten minutes that hold this instant, from there on rows count; null: they are right everywhere';

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

-- A row is ticks with a dictionary of their own: arrays of ticks, of samples and of
-- edges. What is flushed goes to activity_recent, one row a slot of 15 seconds; what is
-- compacted to activity, one row a bucket of ten minutes, or several parts of it.

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
    constraint activity_recent_samples check (
        cardinality(sample_tick) = all (array[
            cardinality(sample_session), cardinality(sample_wait), cardinality(sample_query), cardinality(sample_query_start_ms), cardinality(sample_xact_lead_ms)]))
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.2);

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
        cardinality(tick_planned_ms) > 0
        and cardinality(tick_planned_ms) = all (array[
            cardinality(tick_delay_ms), cardinality(tick_cadence_ms), cardinality(tick_duration_us), cardinality(tick_backends), cardinality(tick_next_xid),
            cardinality(tick_outcome), cardinality(tick_reason), cardinality(tick_burst), cardinality(tick_edges_cut)])),
    constraint activity_samples check (
        cardinality(wait_class) = cardinality(wait_keys)
        and cardinality(sample_tick) = all (array[
            cardinality(sample_session), cardinality(sample_wait), cardinality(sample_query), cardinality(sample_query_start_ms),
            cardinality(sample_xact_lead_ms), cardinality(sample_state_lag_ms), cardinality(sample_xmin), cardinality(sample_blocker)])),
    constraint activity_edges check (
        cardinality(edge_tick) = all (array[cardinality(edge_blocked), cardinality(edge_blocker), cardinality(edge_lock)]))
) partition by range (bucket);

-- Recent rows are there for a quarter of an hour: what it costs to write and to read
-- them counts for more than what room they take. Not every server has lz4.
do $$
declare
    name text;
begin
    for name in
        select a.attname
          from pg_catalog.pg_attribute a
         where a.attrelid = 'history.activity_recent'::regclass
           and a.attndims > 0
           and a.attname like 'sample%'
    loop
        execute format('alter table history.activity_recent alter column %I set compression lz4', name);
    end loop;
exception
    when feature_not_supported then null;
end
$$;

-- Sums of compacted buckets.

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

-- Databases. Counters are as PostgreSQL said them: what was added between two rows is a
-- function of the two, whoever wrote them and whenever they came; rollups are made anew
-- from rows, never grown.

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

create table history.database_look (
    server_id  bigint      not null,
    planned_at timestamptz not null,
    sampled_at timestamptz not null,
    databases  integer     not null check (databases >= 0),
    primary key (server_id, planned_at)
) partition by range (planned_at);
comment on table history.database_look is 'every answered look at pg_stat_database: a database without a row of this look, but with one of the last 330 seconds, had the values of that; one without is gone. What was not answered has no row';
comment on column history.database_look.planned_at is 'when the look was to be taken, UTC';
comment on column history.database_look.sampled_at is 'when it was taken, UTC';
comment on column history.database_look.databases is 'how many databases were in it, shared objects too';

create table history.database_stat (
    server_id                bigint      not null,
    database_oid             oid         not null,
    planned_at               timestamptz not null,
    sampled_at               timestamptz not null,
    previous_at              timestamptz check (previous_at < sampled_at),
    instance                 bigint      not null,
    numbackends              integer     check (numbackends >= 0),
    stats_reset              timestamptz,
    checksum_last_failure    timestamptz,
    xact_commit              bigint,
    xact_rollback            bigint,
    blks_read                bigint,
    blks_hit                 bigint,
    tup_returned             bigint,
    tup_fetched              bigint,
    tup_inserted             bigint,
    tup_updated              bigint,
    tup_deleted              bigint,
    conflicts                bigint,
    temp_files               bigint,
    temp_bytes               bigint,
    deadlocks                bigint,
    checksum_failures        bigint,
    sessions                 bigint,
    sessions_abandoned       bigint,
    sessions_fatal           bigint,
    sessions_killed          bigint,
    parallel_workers_to_launch bigint,
    parallel_workers_launched  bigint,
    blk_read_time_ms         double precision,
    blk_write_time_ms        double precision,
    session_time_ms          double precision,
    active_time_ms           double precision,
    idle_in_transaction_time_ms double precision,
    primary key (server_id, database_oid, planned_at)
) partition by range (planned_at);
create index database_stat_server_planned_idx on history.database_stat (server_id, planned_at);
comment on table history.database_stat is 'pg_stat_database as it said; a database in which nothing changed has a row every five minutes only. What was added between a row and the one before is their difference if instance and stats_reset are the same, no counter went down and it is at most a day; it was added after the later of sampled_at of the row before and previous_at';
comment on column history.database_stat.database_oid is 'oid in history.database; 0: shared objects';
comment on column history.database_stat.planned_at is 'when the look was to be taken, UTC: who takes it twice stores it once';
comment on column history.database_stat.sampled_at is 'when it was taken, UTC';
comment on column history.database_stat.previous_at is 'the look before, in which all was as in the row before; null: there was none, or it was of another instance';
comment on column history.database_stat.instance is 'hash of system identifier, start of the postmaster and of the checkpointer, and recovery: counters of different ones have nothing to do with each other; 0: not known';
comment on column history.database_stat.numbackends is 'connections at this instant; null for shared objects';
comment on column history.database_stat.xact_commit is 'commits since stats_reset; the counters that follow likewise, null where the server does not count them';
comment on column history.database_stat.temp_bytes is 'bytes';
comment on column history.database_stat.blk_read_time_ms is 'milliseconds; needs track_io_timing on the server';
comment on column history.database_stat.blk_write_time_ms is 'milliseconds; needs track_io_timing on the server';
comment on column history.database_stat.sessions is 'sessions established; PostgreSQL 14 and later';
comment on column history.database_stat.session_time_ms is 'milliseconds; PostgreSQL 14 and later';
comment on column history.database_stat.active_time_ms is 'milliseconds; PostgreSQL 14 and later';
comment on column history.database_stat.idle_in_transaction_time_ms is 'milliseconds; PostgreSQL 14 and later';

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

create table history.database_rollup (
    server_id         bigint      not null,
    step_seconds      integer     not null check (step_seconds in (600, 3600, 86400)),
    database_oid      oid         not null,
    bucket            timestamptz not null check (bucket = date_bin(step_seconds * interval '1 second', bucket, timestamptz 'epoch')),
    samples           integer     not null,
    seconds           double precision not null,
    backend_seconds   double precision not null,
    counted_seconds   double precision not null,
    backends_min      integer,
    backends_max      integer,
    backends_last     integer,
    last_sample_at    timestamptz,
    size_bytes        bigint,
    size_at           timestamptz,
    xact_commit       bigint,
    xact_rollback     bigint,
    blks_read         bigint,
    blks_hit          bigint,
    tup_returned      bigint,
    tup_fetched       bigint,
    tup_inserted      bigint,
    tup_updated       bigint,
    tup_deleted       bigint,
    conflicts         bigint,
    temp_files        bigint,
    temp_bytes        bigint,
    deadlocks         bigint,
    sessions          bigint,
    blk_read_time_ms  double precision,
    blk_write_time_ms double precision,
    session_time_ms   double precision,
    active_time_ms    double precision,
    idle_in_transaction_time_ms double precision,
    primary key (server_id, step_seconds, database_oid, bucket)
) partition by range (step_seconds, bucket);
create index database_rollup_server_bucket_idx on history.database_rollup (server_id, step_seconds, bucket);
comment on table history.database_rollup is 'database_stat and database_size by ten minutes, hour and day (UTC): what was added between two rows is shared out by time over the buckets that it touches. Ten minutes are made of rows, hours of ten minutes, days of hours, each anew. Partitioned by step, then time: give both';
comment on column history.database_rollup.step_seconds is 'width of the bucket: 600, 3600 or 86400';
comment on column history.database_rollup.database_oid is 'oid in history.database; 0: shared objects';
comment on column history.database_rollup.bucket is 'start of the bucket, UTC';
comment on column history.database_rollup.samples is 'rows of database_stat in the bucket; 0: only something that reaches into it is known';
comment on column history.database_rollup.seconds is 'seconds in which connections are known: backend_seconds is of them';
comment on column history.database_rollup.backend_seconds is 'integral of connections over time; divide by seconds for the average';
comment on column history.database_rollup.counted_seconds is 'seconds that the counters are of; divide by it for a rate. 0: nothing was counted';
comment on column history.database_rollup.backends_min is 'fewest connections in a row; null: shared objects, or no row';
comment on column history.database_rollup.backends_max is 'most connections in a row; null as backends_min';
comment on column history.database_rollup.backends_last is 'connections in the newest row; null as backends_min';
comment on column history.database_rollup.last_sample_at is 'the newest row of the bucket; null: none';
comment on column history.database_rollup.size_bytes is 'newest size of the bucket in bytes; null: none was measured in it';
comment on column history.database_rollup.size_at is 'when size_bytes was measured';
comment on column history.database_rollup.xact_commit is 'commits in the bucket; the counters that follow likewise, null where the server does not count them';
comment on column history.database_rollup.temp_bytes is 'bytes';
comment on column history.database_rollup.blk_read_time_ms is 'milliseconds; needs track_io_timing on the server';

-- Servers over time.

create table history.server_identity (
    server_id         bigint      not null,
    since             timestamptz not null,
    version_num       integer     not null,
    version           text        not null,
    system_identifier bigint,
    timeline_id       integer,
    postmaster_start  timestamptz not null,
    in_recovery       boolean     not null,
    checkpointer_start timestamptz,
    primary key (server_id, since)
);
comment on table history.server_identity is 'which instance answered, from when on; a new row at every restart, promotion, upgrade or change of instance';
comment on column history.server_identity.checkpointer_start is 'when the checkpointer started: later than before with the same postmaster_start, the server had crashed; null: not known';

create table history.cpu_count (
    server_id bigint      not null,
    since     timestamptz not null,
    cpu_count integer     not null check (cpu_count > 0),
    primary key (server_id, since)
);
comment on table history.cpu_count is 'processors of each server''s host, from when on; a new row where there are others';
comment on column history.cpu_count.cpu_count is 'processors that the host has online; a quota of a container or a unit is not in it';

create table history.setting (
    server_id bigint      not null,
    name      text        not null,
    value     text        not null,
    since     timestamptz not null,
    primary key (server_id, name)
);
comment on table history.setting is 'pg_settings of each server as last seen; values that may hold a secret are kept as a fingerprint';

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

-- File systems.

create table history.file_system (
    server_id     bigint      not null,
    mount_point   text        not null,
    device        text        not null,
    uses          text[]      not null,
    source        text        not null,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    primary key (server_id, mount_point)
);
comment on table history.file_system is 'file systems of the servers'' hosts that hold data of PostgreSQL';
comment on column history.file_system.device is 'what is mounted; empty: unknown';
comment on column history.file_system.uses is 'what it holds, as last seen: data, wal, tablespace:NAME';
comment on column history.file_system.source is 'how it was last looked at: ssh, local, or import';

create table history.disk_usage (
    server_id    bigint      not null,
    sampled_at   timestamptz not null,
    mount_point  text        not null,
    total_bytes  bigint,
    free_bytes   bigint,
    inodes_total bigint,
    inodes_free  bigint,
    primary key (server_id, sampled_at, mount_point)
) partition by range (sampled_at);
comment on table history.disk_usage is 'how full file systems are; one in which nothing changed is written every five minutes only';
comment on column history.disk_usage.total_bytes is 'size of the file system; null: unknown';
comment on column history.disk_usage.free_bytes is 'bytes that an unprivileged process can use; null: unknown';
comment on column history.disk_usage.inodes_total is 'null: the file system has no fixed number, or it is unknown';

create table history.disk_rollup (
    server_id      bigint      not null,
    bucket         timestamptz not null,
    mount_point    text        not null,
    last_sample_at timestamptz not null,
    total_bytes    bigint,
    free_bytes     bigint,
    free_bytes_min bigint,
    inodes_free    bigint,
    primary key (server_id, mount_point, bucket)
) partition by range (bucket);
comment on table history.disk_rollup is 'disk_usage by hour (UTC)';
comment on column history.disk_rollup.bucket is 'start of the hour, UTC';
comment on column history.disk_rollup.last_sample_at is 'the newest row of the hour';
comment on column history.disk_rollup.total_bytes is 'size in bytes, of the newest row; null: unknown';
comment on column history.disk_rollup.free_bytes is 'bytes that an unprivileged process can use, of the newest row; null: unknown';
comment on column history.disk_rollup.free_bytes_min is 'least of the hour';
comment on column history.disk_rollup.inodes_free is 'of the newest row; null: unknown';

-- Report: what people, Grafana and BI read. A view has an instant called time and a
-- unit for every column. Give t0, time or day a range: partitions are by them.
-- Functions that take a server and a range are put into the query that calls them,
-- where the planner sees the bounds; they read as who calls them, who may read views
-- only.

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

---- create above / drop below ----

drop schema report, history, pgam cascade;
