-- The schema of stats_db after all migrations, for reading: what pg_dump 15 says.
-- A test keeps it so; rewrite it with: go test ./internal/schema -run TestDump -update

CREATE SCHEMA history;

COMMENT ON SCHEMA history IS 'pgam: what was sampled, partitioned by time; written by the collector only';

CREATE SCHEMA pgam;

COMMENT ON SCHEMA pgam IS 'pgam: servers, accounts and sealed secrets';

CREATE SCHEMA report;

COMMENT ON SCHEMA report IS 'pgam: stable read-only views for people, Grafana and BI';

CREATE FUNCTION pgam.new_token_epoch() RETURNS bigint
    LANGUAGE sql
    AS $$ select 1 + floor(pg_catalog.random() * 9007199254740991)::bigint $$;

COMMENT ON FUNCTION pgam.new_token_epoch() IS 'a number from 1 to 2^53 - 1, drawn at random';

CREATE FUNCTION pgam.renew_token_epoch() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if new.token_epoch = old.token_epoch then
        new.token_epoch := pgam.new_token_epoch();
    end if;
    return new;
end
$$;

COMMENT ON FUNCTION pgam.renew_token_epoch() IS 'ends the tokens of an account whose password, role or state was changed';

CREATE FUNCTION report.wait_class(number smallint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$ select (array['cpu', 'lock', 'lwlock', 'io', 'ipc', 'client', 'timeout', 'buffer', 'extension', 'other', 'idle_in_transaction', 'idle'])[$1 + 1] $_$;

COMMENT ON FUNCTION report.wait_class(number smallint) IS 'name of a wait class; the last one, idle, is no load and in no sum';

CREATE TABLE history.activity (
    server_id bigint NOT NULL,
    bucket timestamp with time zone NOT NULL,
    part integer NOT NULL,
    samples integer NOT NULL,
    tick_planned_ms integer[] NOT NULL,
    tick_delay_ms integer[] NOT NULL,
    tick_cadence_ms integer[] NOT NULL,
    tick_outcome smallint[],
    tick_reason smallint[],
    tick_duration_us integer[] NOT NULL,
    tick_backends integer[] NOT NULL,
    tick_next_xid bigint[] NOT NULL,
    tick_burst boolean[],
    tick_edges_cut integer[],
    session_keys bigint[] NOT NULL,
    wait_keys bigint[] NOT NULL,
    wait_class smallint[] NOT NULL,
    query_keys bigint[] NOT NULL,
    lock_keys bigint[] NOT NULL,
    sample_tick smallint[] NOT NULL,
    sample_session integer[] NOT NULL,
    sample_wait smallint[] NOT NULL,
    sample_query integer[] NOT NULL,
    sample_query_start_ms integer[] NOT NULL,
    sample_xact_lead_ms integer[] NOT NULL,
    sample_state_lag_ms integer[],
    sample_xmin integer[],
    sample_blocker integer[],
    edge_tick smallint[],
    edge_blocked integer[],
    edge_blocker integer[],
    edge_lock integer[],
    CONSTRAINT activity_bucket_check CHECK ((bucket = date_bin('00:10:00'::interval, bucket, '1970-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT activity_edges CHECK ((cardinality(edge_tick) = ALL (ARRAY[cardinality(edge_blocked), cardinality(edge_blocker), cardinality(edge_lock)]))),
    CONSTRAINT activity_samples CHECK (((cardinality(wait_class) = cardinality(wait_keys)) AND (cardinality(sample_tick) = ALL (ARRAY[cardinality(sample_session), cardinality(sample_wait), cardinality(sample_query), cardinality(sample_query_start_ms), cardinality(sample_xact_lead_ms), cardinality(sample_state_lag_ms), cardinality(sample_xmin), cardinality(sample_blocker)])))),
    CONSTRAINT activity_ticks CHECK (((cardinality(tick_planned_ms) > 0) AND (cardinality(tick_planned_ms) = ALL (ARRAY[cardinality(tick_delay_ms), cardinality(tick_cadence_ms), cardinality(tick_duration_us), cardinality(tick_backends), cardinality(tick_next_xid), cardinality(tick_outcome), cardinality(tick_reason), cardinality(tick_burst), cardinality(tick_edges_cut)]))))
)
PARTITION BY RANGE (bucket);

COMMENT ON TABLE history.activity IS 'one row a server, ten minutes and part: all ticks of the time and their samples, merged. A part is a run of whole seconds. Arrays of ticks, of samples and of edges are parallel; report.activity shows them as rows';
COMMENT ON COLUMN history.activity.bucket IS 'start of the bucket, UTC; in history.activity of ten minutes, from which all milliseconds of the row count';
COMMENT ON COLUMN history.activity.part IS 'number of the part, from 0';
COMMENT ON COLUMN history.activity.samples IS 'session samples; of sums those that are load, the sum of the class columns';
COMMENT ON COLUMN history.activity.tick_planned_ms IS 'an element a tick: milliseconds from the start of the ten minutes to when it was planned';
COMMENT ON COLUMN history.activity.tick_delay_ms IS 'milliseconds from then to when it was begun';
COMMENT ON COLUMN history.activity.tick_cadence_ms IS 'milliseconds between planned ticks then';
COMMENT ON COLUMN history.activity.tick_outcome IS '0 ok, 1 degraded, 2 failed, 3 skipped; null: all were ok';
COMMENT ON COLUMN history.activity.tick_reason IS 'history.reason.id of an outcome other than ok; null: all were ok';
COMMENT ON COLUMN history.activity.tick_duration_us IS 'microseconds the visit took';
COMMENT ON COLUMN history.activity.tick_backends IS 'connections to a database, idle ones too; null elements: not answered';
COMMENT ON COLUMN history.activity.tick_next_xid IS 'the server''s next transaction id; 0: not known';
COMMENT ON COLUMN history.activity.tick_burst IS 'taken in full detail; null: none was';
COMMENT ON COLUMN history.activity.tick_edges_cut IS 'edges that were too many to keep; null: none were';
COMMENT ON COLUMN history.activity.session_keys IS 'keys of history.session that the row uses, ascending';
COMMENT ON COLUMN history.activity.wait_keys IS 'keys of history.wait';
COMMENT ON COLUMN history.activity.wait_class IS 'class of each wait: see report.wait_class';
COMMENT ON COLUMN history.activity.query_keys IS 'keys of history.query';
COMMENT ON COLUMN history.activity.lock_keys IS 'keys of history.lock';
COMMENT ON COLUMN history.activity.sample_tick IS 'an element a session sample, ordered by session, then tick: number of the tick, from 1';
COMMENT ON COLUMN history.activity.sample_session IS 'number of its key, from 1';
COMMENT ON COLUMN history.activity.sample_wait IS 'number of its key, from 1';
COMMENT ON COLUMN history.activity.sample_query IS 'number of its key, from 1; 0: no statement';
COMMENT ON COLUMN history.activity.sample_query_start_ms IS 'milliseconds from the start of the ten minutes to query_start; null elements: not known';
COMMENT ON COLUMN history.activity.sample_xact_lead_ms IS 'milliseconds from xact_start to query_start; null elements: in no transaction';
COMMENT ON COLUMN history.activity.sample_state_lag_ms IS 'milliseconds from query_start to state_change; null: none';
COMMENT ON COLUMN history.activity.sample_xmin IS 'backend_xmin, its four bytes with a sign; 0: none worth keeping; null: none has one';
COMMENT ON COLUMN history.activity.sample_blocker IS 'number of the key of the first session that blocks; 0: not known; null: not blocked';
COMMENT ON COLUMN history.activity.edge_tick IS 'an element an edge, which says that a session waits for another: number of the tick, from 1; null: nobody waited';
COMMENT ON COLUMN history.activity.edge_blocked IS 'number of the key of the session that waits';
COMMENT ON COLUMN history.activity.edge_blocker IS 'number of the key of one that it waits for; a prepared transaction is a session with pid 0; 0: not known';
COMMENT ON COLUMN history.activity.edge_lock IS 'number of the key of what it waits for; 0: not known';

CREATE TABLE history.activity_recent (
    server_id bigint NOT NULL,
    slot timestamp with time zone NOT NULL,
    written_at timestamp with time zone DEFAULT now() NOT NULL,
    late boolean DEFAULT false NOT NULL,
    first_planned_ms integer NOT NULL,
    last_planned_ms integer NOT NULL,
    first_cadence_ms integer NOT NULL,
    cadence_ms integer NOT NULL,
    ticks_ok integer NOT NULL,
    ticks_degraded integer NOT NULL,
    ticks_failed integer NOT NULL,
    ticks_skipped integer NOT NULL,
    ticks_missing integer NOT NULL,
    first_seen_ms integer,
    last_seen_ms integer,
    longest_gap_ms integer NOT NULL,
    fault_outcome smallint[],
    fault_reason smallint[],
    fault_ticks integer[],
    samples bigint NOT NULL,
    max_sessions integer NOT NULL,
    max_backends integer,
    cpu bigint NOT NULL,
    lock bigint NOT NULL,
    lwlock bigint NOT NULL,
    io bigint NOT NULL,
    ipc bigint NOT NULL,
    client bigint NOT NULL,
    timeout bigint NOT NULL,
    buffer bigint NOT NULL,
    extension bigint NOT NULL,
    other bigint NOT NULL,
    idle_in_transaction bigint NOT NULL,
    tick_planned_ms integer[] NOT NULL,
    tick_delay_ms integer[] NOT NULL,
    tick_cadence_ms integer[] NOT NULL,
    tick_outcome smallint[],
    tick_reason smallint[],
    tick_duration_us integer[] NOT NULL,
    tick_backends integer[] NOT NULL,
    tick_next_xid bigint[] NOT NULL,
    tick_burst boolean[],
    tick_edges_cut integer[],
    session_keys bigint[] NOT NULL,
    wait_keys bigint[] NOT NULL,
    wait_class smallint[] NOT NULL,
    query_keys bigint[] NOT NULL,
    lock_keys bigint[] NOT NULL,
    sample_tick smallint[] NOT NULL,
    sample_session integer[] NOT NULL,
    sample_wait smallint[] NOT NULL,
    sample_query integer[] NOT NULL,
    sample_query_start_ms integer[] NOT NULL,
    sample_xact_lead_ms integer[] NOT NULL,
    sample_state_lag_ms integer[],
    sample_xmin integer[],
    sample_blocker integer[],
    edge_tick smallint[],
    edge_blocked integer[],
    edge_blocker integer[],
    edge_lock integer[],
    CONSTRAINT activity_recent_samples CHECK ((cardinality(sample_tick) = ALL (ARRAY[cardinality(sample_session), cardinality(sample_wait), cardinality(sample_query), cardinality(sample_query_start_ms), cardinality(sample_xact_lead_ms)]))),
    CONSTRAINT activity_recent_slot_check CHECK ((slot = date_bin('00:00:15'::interval, slot, '1970-01-01 00:00:00+00'::timestamp with time zone)))
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.2');
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_tick SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_session SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_wait SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_query SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_query_start_ms SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_xact_lead_ms SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_state_lag_ms SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_xmin SET COMPRESSION lz4;
ALTER TABLE ONLY history.activity_recent ALTER COLUMN sample_blocker SET COMPRESSION lz4;

COMMENT ON TABLE history.activity_recent IS 'one row a server and slot of 15 seconds, aligned to the clock: the ticks that were planned in it, their samples, and sums of both, until the ten minutes are compacted';
COMMENT ON COLUMN history.activity_recent.slot IS 'start of the fifteen seconds, UTC';
COMMENT ON COLUMN history.activity_recent.written_at IS 'when the row was written last, by this database''s clock';
COMMENT ON COLUMN history.activity_recent.late IS 'its ten minutes were compacted before it came: nobody looks at it until it is merged in';
COMMENT ON COLUMN history.activity_recent.first_planned_ms IS 'milliseconds from the start to when the first tick was planned';
COMMENT ON COLUMN history.activity_recent.last_planned_ms IS 'milliseconds from the start to when the last tick was planned';
COMMENT ON COLUMN history.activity_recent.first_cadence_ms IS 'milliseconds between planned ticks at the first one';
COMMENT ON COLUMN history.activity_recent.cadence_ms IS 'milliseconds between planned ticks at the last one';
COMMENT ON COLUMN history.activity_recent.ticks_ok IS 'ticks answered in full';
COMMENT ON COLUMN history.activity_recent.ticks_degraded IS 'ticks answered in part';
COMMENT ON COLUMN history.activity_recent.ticks_failed IS 'ticks not answered';
COMMENT ON COLUMN history.activity_recent.ticks_skipped IS 'ticks at which the server was not asked';
COMMENT ON COLUMN history.activity_recent.ticks_missing IS 'ticks that the cadence promised between the first and the last one and that are not there: no collector ran';
COMMENT ON COLUMN history.activity_recent.first_seen_ms IS 'milliseconds from the start to when the first answered tick was begun; null: none was answered';
COMMENT ON COLUMN history.activity_recent.last_seen_ms IS 'milliseconds from the start to when the last answered tick was begun; null: none was answered';
COMMENT ON COLUMN history.activity_recent.longest_gap_ms IS 'milliseconds of the longest time between two answered ticks if one is missing between them; 0: none is';
COMMENT ON COLUMN history.activity_recent.fault_outcome IS 'outcomes of ticks that were not ok: 1 degraded, 2 failed, 3 skipped; null: all were ok';
COMMENT ON COLUMN history.activity_recent.fault_reason IS 'history.reason.id of each of them';
COMMENT ON COLUMN history.activity_recent.fault_ticks IS 'ticks of each of them';
COMMENT ON COLUMN history.activity_recent.samples IS 'session samples; of sums those that are load, the sum of the class columns';
COMMENT ON COLUMN history.activity_recent.max_sessions IS 'most sessions in one tick that are load';
COMMENT ON COLUMN history.activity_recent.max_backends IS 'most connections in one tick, idle ones too; null: never known';
COMMENT ON COLUMN history.activity_recent.cpu IS 'samples of active sessions with no wait event';
COMMENT ON COLUMN history.activity_recent.lock IS 'samples that waited for a lock';
COMMENT ON COLUMN history.activity_recent.lwlock IS 'samples that waited for a lightweight lock';
COMMENT ON COLUMN history.activity_recent.io IS 'samples that waited for files';
COMMENT ON COLUMN history.activity_recent.ipc IS 'samples that waited for another process';
COMMENT ON COLUMN history.activity_recent.client IS 'samples that waited for the client';
COMMENT ON COLUMN history.activity_recent.timeout IS 'samples that waited for a time to pass';
COMMENT ON COLUMN history.activity_recent.buffer IS 'samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';
COMMENT ON COLUMN history.activity_recent.extension IS 'samples that waited in an extension';
COMMENT ON COLUMN history.activity_recent.other IS 'samples that waited for something else';
COMMENT ON COLUMN history.activity_recent.idle_in_transaction IS 'samples of sessions idle in a transaction, whatever they wait for; in no other class';
COMMENT ON COLUMN history.activity_recent.tick_planned_ms IS 'an element a tick: milliseconds from the start of the ten minutes to when it was planned';
COMMENT ON COLUMN history.activity_recent.tick_delay_ms IS 'milliseconds from then to when it was begun';
COMMENT ON COLUMN history.activity_recent.tick_cadence_ms IS 'milliseconds between planned ticks then';
COMMENT ON COLUMN history.activity_recent.tick_outcome IS '0 ok, 1 degraded, 2 failed, 3 skipped; null: all were ok';
COMMENT ON COLUMN history.activity_recent.tick_reason IS 'history.reason.id of an outcome other than ok; null: all were ok';
COMMENT ON COLUMN history.activity_recent.tick_duration_us IS 'microseconds the visit took';
COMMENT ON COLUMN history.activity_recent.tick_backends IS 'connections to a database, idle ones too; null elements: not answered';
COMMENT ON COLUMN history.activity_recent.tick_next_xid IS 'the server''s next transaction id; 0: not known';
COMMENT ON COLUMN history.activity_recent.tick_burst IS 'taken in full detail; null: none was';
COMMENT ON COLUMN history.activity_recent.tick_edges_cut IS 'edges that were too many to keep; null: none were';
COMMENT ON COLUMN history.activity_recent.session_keys IS 'keys of history.session that the row uses, ascending';
COMMENT ON COLUMN history.activity_recent.wait_keys IS 'keys of history.wait';
COMMENT ON COLUMN history.activity_recent.wait_class IS 'class of each wait: see report.wait_class';
COMMENT ON COLUMN history.activity_recent.query_keys IS 'keys of history.query';
COMMENT ON COLUMN history.activity_recent.lock_keys IS 'keys of history.lock';
COMMENT ON COLUMN history.activity_recent.sample_tick IS 'an element a session sample, ordered by session, then tick: number of the tick, from 1';
COMMENT ON COLUMN history.activity_recent.sample_session IS 'number of its key, from 1';
COMMENT ON COLUMN history.activity_recent.sample_wait IS 'number of its key, from 1';
COMMENT ON COLUMN history.activity_recent.sample_query IS 'number of its key, from 1; 0: no statement';
COMMENT ON COLUMN history.activity_recent.sample_query_start_ms IS 'milliseconds from the start of the ten minutes to query_start; null elements: not known';
COMMENT ON COLUMN history.activity_recent.sample_xact_lead_ms IS 'milliseconds from xact_start to query_start; null elements: in no transaction';
COMMENT ON COLUMN history.activity_recent.sample_state_lag_ms IS 'milliseconds from query_start to state_change; null: none';
COMMENT ON COLUMN history.activity_recent.sample_xmin IS 'backend_xmin, its four bytes with a sign; 0: none worth keeping; null: none has one';
COMMENT ON COLUMN history.activity_recent.sample_blocker IS 'number of the key of the first session that blocks; 0: not known; null: not blocked';
COMMENT ON COLUMN history.activity_recent.edge_tick IS 'an element an edge, which says that a session waits for another: number of the tick, from 1; null: nobody waited';
COMMENT ON COLUMN history.activity_recent.edge_blocked IS 'number of the key of the session that waits';
COMMENT ON COLUMN history.activity_recent.edge_blocker IS 'number of the key of one that it waits for; a prepared transaction is a session with pid 0; 0: not known';
COMMENT ON COLUMN history.activity_recent.edge_lock IS 'number of the key of what it waits for; 0: not known';

CREATE VIEW history.activity_tail AS
 SELECT r.server_id,
    r.slot,
    r.written_at,
    r.late,
    r.first_planned_ms,
    r.last_planned_ms,
    r.first_cadence_ms,
    r.cadence_ms,
    r.ticks_ok,
    r.ticks_degraded,
    r.ticks_failed,
    r.ticks_skipped,
    r.ticks_missing,
    r.first_seen_ms,
    r.last_seen_ms,
    r.longest_gap_ms,
    r.fault_outcome,
    r.fault_reason,
    r.fault_ticks,
    r.samples,
    r.max_sessions,
    r.max_backends,
    r.cpu,
    r.lock,
    r.lwlock,
    r.io,
    r.ipc,
    r.client,
    r.timeout,
    r.buffer,
    r.extension,
    r.other,
    r.idle_in_transaction,
    r.tick_planned_ms,
    r.tick_delay_ms,
    r.tick_cadence_ms,
    r.tick_outcome,
    r.tick_reason,
    r.tick_duration_us,
    r.tick_backends,
    r.tick_next_xid,
    r.tick_burst,
    r.tick_edges_cut,
    r.session_keys,
    r.wait_keys,
    r.wait_class,
    r.query_keys,
    r.lock_keys,
    r.sample_tick,
    r.sample_session,
    r.sample_wait,
    r.sample_query,
    r.sample_query_start_ms,
    r.sample_xact_lead_ms,
    r.sample_state_lag_ms,
    r.sample_xmin,
    r.sample_blocker,
    r.edge_tick,
    r.edge_blocked,
    r.edge_blocker,
    r.edge_lock
   FROM history.activity_recent r
  WHERE (NOT r.late);

COMMENT ON VIEW history.activity_tail IS 'recent rows that are looked at: those of buckets that are not compacted';

CREATE VIEW history.activity_row AS
 SELECT a.server_id,
    a.bucket,
    a.tick_planned_ms,
    a.tick_delay_ms,
    a.tick_outcome,
    a.tick_reason,
    a.tick_duration_us,
    a.tick_backends,
    a.tick_next_xid,
    a.tick_burst,
    a.session_keys,
    a.wait_keys,
    a.wait_class,
    a.query_keys,
    a.lock_keys,
    a.sample_tick,
    a.sample_session,
    a.sample_wait,
    a.sample_query,
    a.sample_query_start_ms,
    a.sample_xact_lead_ms,
    a.sample_state_lag_ms,
    a.sample_xmin,
    a.sample_blocker,
    a.edge_tick,
    a.edge_blocked,
    a.edge_blocker,
    a.edge_lock
   FROM history.activity a
UNION ALL
 SELECT r.server_id,
    date_bin('00:10:00'::interval, r.slot, '1970-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    r.tick_planned_ms,
    r.tick_delay_ms,
    r.tick_outcome,
    r.tick_reason,
    r.tick_duration_us,
    r.tick_backends,
    r.tick_next_xid,
    r.tick_burst,
    r.session_keys,
    r.wait_keys,
    r.wait_class,
    r.query_keys,
    r.lock_keys,
    r.sample_tick,
    r.sample_session,
    r.sample_wait,
    r.sample_query,
    r.sample_query_start_ms,
    r.sample_xact_lead_ms,
    r.sample_state_lag_ms,
    r.sample_xmin,
    r.sample_blocker,
    r.edge_tick,
    r.edge_blocked,
    r.edge_blocker,
    r.edge_lock
   FROM history.activity_tail r;

COMMENT ON VIEW history.activity_row IS 'rows that hold each tick once, compacted or not; milliseconds in them count from bucket';

CREATE TABLE history.query (
    server_id bigint NOT NULL,
    key bigint NOT NULL,
    query_id bigint NOT NULL,
    own boolean NOT NULL,
    text text,
    text_full boolean DEFAULT false NOT NULL,
    first_seen_on date NOT NULL,
    last_seen_on date NOT NULL
);

COMMENT ON TABLE history.query IS 'what the keys of statements stand for';
COMMENT ON COLUMN history.query.key IS 'keyed hash of what the row says, the same whoever saw it';
COMMENT ON COLUMN history.query.own IS 'true: query_id is pgam''s fingerprint, as the server gave none';
COMMENT ON COLUMN history.query.text IS 'of a statement as the server''s query_texts allow it; null: not seen, or none are kept';
COMMENT ON COLUMN history.query.text_full IS 'true: the text is as the server showed it, literals included';
COMMENT ON COLUMN history.query.first_seen_on IS 'UTC day';
COMMENT ON COLUMN history.query.last_seen_on IS 'UTC day; the row expires with what can name it';

CREATE TABLE history.session (
    server_id bigint NOT NULL,
    day date NOT NULL,
    key bigint NOT NULL,
    pid integer NOT NULL,
    backend_start timestamp with time zone,
    database_oid oid,
    database_name text,
    user_oid oid,
    user_name text,
    application_name text,
    client_addr text,
    backend_type text,
    leader_pid integer
)
PARTITION BY RANGE (day);

COMMENT ON TABLE history.session IS 'what the keys of sessions stand for, by UTC day';
COMMENT ON COLUMN history.session.day IS 'UTC day of ticks that name it';
COMMENT ON COLUMN history.session.key IS 'keyed hash of what the row says, the same whoever saw it';

CREATE TABLE history.wait (
    server_id bigint NOT NULL,
    key bigint NOT NULL,
    class smallint NOT NULL,
    state text NOT NULL,
    wait_event_type text NOT NULL,
    wait_event text NOT NULL,
    last_seen_on date NOT NULL
);

COMMENT ON TABLE history.wait IS 'what the keys of waits stand for';
COMMENT ON COLUMN history.wait.key IS 'keyed hash of what the row says, the same whoever saw it';
COMMENT ON COLUMN history.wait.class IS 'wait class: see report.wait_class';
COMMENT ON COLUMN history.wait.last_seen_on IS 'UTC day; the row expires with what can name it';

CREATE SEQUENCE pgam.revision
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE pgam.revision IS 'one number a change of any server; readers compare it to see that they are up to date';

CREATE TABLE pgam.server (
    id bigint NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    port integer NOT NULL,
    user_name text NOT NULL,
    database_name text DEFAULT 'postgres'::text NOT NULL,
    tls_mode text DEFAULT 'prefer'::text NOT NULL,
    password_sealed bytea,
    ssh_user text DEFAULT ''::text NOT NULL,
    ssh_port integer DEFAULT 22 NOT NULL,
    ssh_password_sealed bytea,
    stats_db text,
    pool_profile text DEFAULT 'default'::text NOT NULL,
    activity_interval_seconds integer,
    databases_interval_seconds integer,
    inventory_interval_seconds integer,
    sizes_interval_seconds integer,
    enabled boolean DEFAULT true NOT NULL,
    revision bigint DEFAULT nextval('pgam.revision'::regclass) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    ssh_host text DEFAULT ''::text NOT NULL,
    ssh_key_id bigint,
    ssh_host_key text DEFAULT ''::text NOT NULL,
    ssh_tunnel boolean DEFAULT false NOT NULL,
    disk_source text DEFAULT ''::text NOT NULL,
    disks_interval_seconds integer,
    purge boolean DEFAULT false NOT NULL,
    query_texts text DEFAULT 'normalized'::text NOT NULL,
    burst_active integer,
    burst_lock_waits integer,
    burst_connections_percent integer,
    allow_md5 boolean DEFAULT false NOT NULL,
    session_control text,
    cpu_count integer,
    CONSTRAINT server_activity_interval_seconds_check CHECK ((activity_interval_seconds > 0)),
    CONSTRAINT server_burst_active_check CHECK ((burst_active >= 0)),
    CONSTRAINT server_burst_connections_percent_check CHECK (((burst_connections_percent >= 0) AND (burst_connections_percent <= 100))),
    CONSTRAINT server_burst_lock_waits_check CHECK ((burst_lock_waits >= 0)),
    CONSTRAINT server_cpu_count_check CHECK (((cpu_count >= 1) AND (cpu_count <= 65536))),
    CONSTRAINT server_databases_interval_seconds_check CHECK ((databases_interval_seconds > 0)),
    CONSTRAINT server_disk_source_check CHECK ((disk_source = ANY (ARRAY[''::text, 'none'::text, 'ssh'::text, 'local'::text]))),
    CONSTRAINT server_disks_interval_seconds_check CHECK ((disks_interval_seconds > 0)),
    CONSTRAINT server_inventory_interval_seconds_check CHECK ((inventory_interval_seconds > 0)),
    CONSTRAINT server_port_check CHECK (((port >= 1) AND (port <= 65535))),
    CONSTRAINT server_query_texts_check CHECK ((query_texts = ANY (ARRAY['normalized'::text, 'full'::text, 'none'::text]))),
    CONSTRAINT server_session_control_check CHECK ((session_control = ANY (ARRAY['off'::text, 'cancel'::text, 'terminate'::text]))),
    CONSTRAINT server_sizes_interval_seconds_check CHECK ((sizes_interval_seconds > 0)),
    CONSTRAINT server_ssh_port_check CHECK (((ssh_port >= 1) AND (ssh_port <= 65535)))
);

COMMENT ON TABLE pgam.server IS 'watched servers; a deleted one stays as a row, hidden, as long as its history does';
COMMENT ON COLUMN pgam.server.id IS 'never reused; every row of history belongs to it';
COMMENT ON COLUMN pgam.server.name IS 'unique among the servers that are not deleted';
COMMENT ON COLUMN pgam.server.host IS 'name, address, or absolute path of a Unix socket''s folder';
COMMENT ON COLUMN pgam.server.tls_mode IS 'libpq''s sslmode';
COMMENT ON COLUMN pgam.server.password_sealed IS 'AEAD ciphertext bound to id, host, port, user, TLS mode and allow_md5; the key is outside the database';
COMMENT ON COLUMN pgam.server.ssh_password_sealed IS 'AEAD ciphertext bound to id, SSH host, ssh_port and ssh_user';
COMMENT ON COLUMN pgam.server.stats_db IS 'kept for clients of the Python version; null for none';
COMMENT ON COLUMN pgam.server.pool_profile IS 'size of the API''s pool: default, stats_db or high_load';
COMMENT ON COLUMN pgam.server.activity_interval_seconds IS 'seconds between activity ticks; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.databases_interval_seconds IS 'seconds between reads of pg_stat_database; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.inventory_interval_seconds IS 'seconds between listings of databases; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.sizes_interval_seconds IS 'seconds between rounds of database sizes; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.enabled IS 'false pauses collection';
COMMENT ON COLUMN pgam.server.revision IS 'from the sequence pgam.revision at the last change';
COMMENT ON COLUMN pgam.server.deleted_at IS 'set when the server was removed: collection stops, history stays until retention';
COMMENT ON COLUMN pgam.server.ssh_host IS 'where SSH goes; empty: host';
COMMENT ON COLUMN pgam.server.ssh_key_id IS 'the managed key that logs in; null: the password does';
COMMENT ON COLUMN pgam.server.ssh_host_key IS 'the host''s pinned public key; empty: not pinned';
COMMENT ON COLUMN pgam.server.ssh_tunnel IS 'true: PostgreSQL is reached through SSH, and host and port are as the SSH host sees them';
COMMENT ON COLUMN pgam.server.disk_source IS 'how disks are looked at: none, ssh, local; empty: ssh where there are an ssh_user and a host to go to';
COMMENT ON COLUMN pgam.server.disks_interval_seconds IS 'seconds between looks at disks; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.purge IS 'true: the server was deleted with its history, which the collector is removing';
COMMENT ON COLUMN pgam.server.query_texts IS 'how statements are kept: normalized (literals taken out), full, or none';
COMMENT ON COLUMN pgam.server.burst_active IS 'active sessions from which full detail is taken; 0: never; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.burst_lock_waits IS 'sessions waiting for locks from which full detail is taken; 0: never; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.burst_connections_percent IS 'connections in percent of max_connections from which full detail is taken; 0: never; null: the collector''s setting';
COMMENT ON COLUMN pgam.server.allow_md5 IS 'MD5, and SCRAM of few rounds, are answered though TLS does not verify who asks';
COMMENT ON COLUMN pgam.server.session_control IS 'what operators may do with its sessions: off, cancel, terminate; null: as the API is set';
COMMENT ON COLUMN pgam.server.cpu_count IS 'processors of the host, as somebody typed in; null: as history.cpu_count has it';

CREATE VIEW report.query AS
 SELECT q.server_id,
    q.key AS query_ref,
    q.query_id,
    q.own AS own_fingerprint,
    q.text AS query,
    q.first_seen_on,
    q.last_seen_on
   FROM history.query q;

COMMENT ON VIEW report.query IS 'statements by server';
COMMENT ON COLUMN report.query.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.query.query_ref IS 'key of the statement';
COMMENT ON COLUMN report.query.query_id IS 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement';
COMMENT ON COLUMN report.query.own_fingerprint IS 'true: query_id is pgam''s fingerprint, as the server gave none';
COMMENT ON COLUMN report.query.query IS 'text of the statement as the server''s setting keeps it: normalized, full, or null';
COMMENT ON COLUMN report.query.first_seen_on IS 'UTC day when it was first seen';
COMMENT ON COLUMN report.query.last_seen_on IS 'UTC day when it was last seen';

CREATE VIEW report.session AS
 SELECT d.server_id,
    d.day,
    d.key AS session_id,
    d.pid,
    d.backend_start,
    d.database_oid,
    d.database_name,
    d.user_oid,
    d.user_name,
    d.application_name,
    d.client_addr,
    d.backend_type,
    d.leader_pid
   FROM history.session d;

COMMENT ON VIEW report.session IS 'sessions by day (UTC): a session has the same key on each of its days; filter on day, by which they are partitioned';
COMMENT ON COLUMN report.session.server_id IS 'id of the server; report.server has its name';
COMMENT ON COLUMN report.session.day IS 'UTC day';
COMMENT ON COLUMN report.session.session_id IS 'key of the session, the same on each of its days';
COMMENT ON COLUMN report.session.pid IS 'process id; 0: a prepared transaction';
COMMENT ON COLUMN report.session.backend_start IS 'when the session began, UTC; null: not known';
COMMENT ON COLUMN report.session.database_oid IS 'oid of the database; null: none';
COMMENT ON COLUMN report.session.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.session.user_oid IS 'oid of the role; null: none';
COMMENT ON COLUMN report.session.user_name IS 'name of the role; null: none';
COMMENT ON COLUMN report.session.application_name IS 'as the client set it; of a prepared transaction its identifier';
COMMENT ON COLUMN report.session.client_addr IS 'client address; null: a Unix socket or a background process';
COMMENT ON COLUMN report.session.backend_type IS 'client backend, autovacuum worker, prepared transaction …';
COMMENT ON COLUMN report.session.leader_pid IS 'process id of a parallel worker''s leader (PostgreSQL 13 and later); null: it is none';

CREATE VIEW report.wait AS
 SELECT x.server_id,
    x.key AS wait_id,
    x.state,
    x.wait_event_type,
    x.wait_event,
    report.wait_class(x.class) AS wait_class,
    x.last_seen_on
   FROM history.wait x;

COMMENT ON VIEW report.wait IS 'what sessions were doing: state and wait, by server';
COMMENT ON COLUMN report.wait.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.wait.wait_id IS 'key of the wait';
COMMENT ON COLUMN report.wait.state IS 'state as in pg_stat_activity; null: the rest of what is not listed';
COMMENT ON COLUMN report.wait.wait_event_type IS 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed';
COMMENT ON COLUMN report.wait.wait_event IS 'name of the wait event; empty: none';
COMMENT ON COLUMN report.wait.wait_class IS 'cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction; idle: no load';
COMMENT ON COLUMN report.wait.last_seen_on IS 'UTC day when it was last seen';

CREATE VIEW report.activity AS
 SELECT w.server_id,
    s.name AS server,
    w.bucket AS t0,
    u."time",
    u.pid,
    u.backend_start,
    u.database_name,
    u.user_name,
    u.application_name,
    u.client_addr,
    u.backend_type,
    u.leader_pid,
    u.state,
    u.wait_event_type,
    u.wait_event,
    u.query_id,
    u.query,
    u.query_start,
    u.xact_start,
    u.state_change,
    u.xmin_age,
    u.blocked_by_pid,
    u.blocked,
    u.burst,
    u.load,
    u.wait_class
   FROM ((history.activity_row w
     JOIN pgam.server s ON ((s.id = w.server_id)))
     CROSS JOIN LATERAL ( SELECT (w.bucket + ((k.planned_ms)::double precision * '00:00:00.001'::interval)) AS "time",
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
            report.wait_class(x.class) AS wait_class,
            (report.wait_class(x.class) <> 'idle'::text) AS load,
            q.query_id,
            q.query,
            (w.bucket + ((u_1.query_start_ms)::double precision * '00:00:00.001'::interval)) AS query_start,
            (w.bucket + ((((u_1.query_start_ms)::bigint - u_1.xact_lead_ms))::double precision * '00:00:00.001'::interval)) AS xact_start,
            (w.bucket + ((((u_1.query_start_ms)::bigint + COALESCE(u_1.state_lag_ms, 0)))::double precision * '00:00:00.001'::interval)) AS state_change,
                CASE
                    WHEN ((u_1.xmin <> 0) AND (k.next_xid <> 0)) THEN (GREATEST(((((k.next_xid - u_1.xmin) + '2147483648'::bigint) & '4294967295'::bigint) - '2147483648'::bigint), (0)::bigint))::integer
                    ELSE NULL::integer
                END AS xmin_age,
            b.pid AS blocked_by_pid,
            (u_1.blocker IS NOT NULL) AS blocked,
            COALESCE(k.burst, false) AS burst
           FROM (((((UNNEST(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms, w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin, w.sample_blocker) u_1(tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin, blocker)
             JOIN UNNEST(w.tick_planned_ms, w.tick_next_xid, w.tick_burst) WITH ORDINALITY k(planned_ms, next_xid, burst, number) ON ((k.number = u_1.tick)))
             JOIN ( SELECT n.number,
                    n.class,
                    x_1.server_id,
                    x_1.wait_id,
                    x_1.state,
                    x_1.wait_event_type,
                    x_1.wait_event,
                    x_1.wait_class,
                    x_1.last_seen_on
                   FROM (UNNEST(w.wait_keys, w.wait_class) WITH ORDINALITY n(key, class, number)
                     LEFT JOIN report.wait x_1 ON (((x_1.server_id = w.server_id) AND (x_1.wait_id = n.key))))) x ON ((x.number = u_1.wait)))
             JOIN ( SELECT n.number,
                    d_1.server_id,
                    d_1.day,
                    d_1.session_id,
                    d_1.pid,
                    d_1.backend_start,
                    d_1.database_oid,
                    d_1.database_name,
                    d_1.user_oid,
                    d_1.user_name,
                    d_1.application_name,
                    d_1.client_addr,
                    d_1.backend_type,
                    d_1.leader_pid
                   FROM (unnest(w.session_keys) WITH ORDINALITY n(key, number)
                     LEFT JOIN report.session d_1 ON (((d_1.server_id = w.server_id) AND (d_1.day = ((w.bucket AT TIME ZONE 'UTC'::text))::date) AND (d_1.session_id = n.key))))) d ON ((d.number = u_1.session)))
             LEFT JOIN ( SELECT n.number,
                    q_1.server_id,
                    q_1.query_ref,
                    q_1.query_id,
                    q_1.own_fingerprint,
                    q_1.query,
                    q_1.first_seen_on,
                    q_1.last_seen_on
                   FROM (unnest(w.query_keys) WITH ORDINALITY n(key, number)
                     LEFT JOIN report.query q_1 ON (((q_1.server_id = w.server_id) AND (q_1.query_ref = n.key))))) q ON ((q.number = u_1.query)))
             LEFT JOIN ( SELECT n.number,
                    d_1.pid
                   FROM (unnest(w.session_keys) WITH ORDINALITY n(key, number)
                     LEFT JOIN report.session d_1 ON (((d_1.server_id = w.server_id) AND (d_1.day = ((w.bucket AT TIME ZONE 'UTC'::text))::date) AND (d_1.session_id = n.key))))) b ON ((b.number = u_1.blocker)))
         OFFSET 0) u);

COMMENT ON VIEW report.activity IS 'every session sample with text labels; filter on t0, by which the data is partitioned (samples lie within ten minutes after it), or ask report.activity_between';
COMMENT ON COLUMN report.activity.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.activity.t0 IS 'start of the ten minutes that hold the sample, UTC; filter on it';
COMMENT ON COLUMN report.activity."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.activity.pid IS 'process id; 0: a prepared transaction';
COMMENT ON COLUMN report.activity.backend_start IS 'when the session began, UTC; null: not known';
COMMENT ON COLUMN report.activity.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.activity.user_name IS 'name of the role; null: none';
COMMENT ON COLUMN report.activity.application_name IS 'as the client set it; of a prepared transaction its identifier';
COMMENT ON COLUMN report.activity.client_addr IS 'client address; null: a Unix socket or a background process';
COMMENT ON COLUMN report.activity.backend_type IS 'client backend, autovacuum worker, prepared transaction …';
COMMENT ON COLUMN report.activity.leader_pid IS 'process id of a parallel worker''s leader (PostgreSQL 13 and later); null: it is none';
COMMENT ON COLUMN report.activity.state IS 'state as in pg_stat_activity; null: the rest of what is not listed';
COMMENT ON COLUMN report.activity.wait_event_type IS 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed';
COMMENT ON COLUMN report.activity.wait_event IS 'name of the wait event; empty: none';
COMMENT ON COLUMN report.activity.query_id IS 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement';
COMMENT ON COLUMN report.activity.query IS 'text of the statement as the server''s setting keeps it: normalized, full, or null';
COMMENT ON COLUMN report.activity.query_start IS 'when the statement began, UTC, to the millisecond; null: not known';
COMMENT ON COLUMN report.activity.xact_start IS 'when the transaction began, UTC, to the millisecond; null: in none';
COMMENT ON COLUMN report.activity.state_change IS 'when the state last changed, UTC, to the millisecond; null: not known';
COMMENT ON COLUMN report.activity.xmin_age IS 'transactions begun since the session''s xmin; null: none worth keeping';
COMMENT ON COLUMN report.activity.blocked_by_pid IS 'process id of the first session that blocks this one; null: none, or not known';
COMMENT ON COLUMN report.activity.blocked IS 'true: the session waits for another; report.blocking says for whom';
COMMENT ON COLUMN report.activity.burst IS 'true: the tick was taken in full detail, because the server was busy';
COMMENT ON COLUMN report.activity.load IS 'false: no load, for it waits for work or sleeps because a throttle says so; leave it out of what is counted';
COMMENT ON COLUMN report.activity.wait_class IS 'cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction; idle: no load';

CREATE FUNCTION report.activity_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) RETURNS SETOF report.activity
    LANGUAGE sql STABLE
    AS $_$
select a.*
  from report.activity a
 where a.server_id = (select s.server_id from report.server s where s.server = $1)
   and a.t0 >= date_bin('10 minutes', $2, timestamptz 'epoch')
   and a.t0 < $3
   and a."time" >= $2
   and a."time" < $3
$_$;

COMMENT ON FUNCTION report.activity_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) IS 'report.activity of one server, from the first instant until before the second; reads the partitions of that range only';

CREATE FUNCTION report.activity_by(server text, dimension text, "from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE("time" timestamp with time zone, key text, samples bigint, ticks bigint)
    LANGUAGE sql STABLE
    AS $_$
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
$_$;

COMMENT ON FUNCTION report.activity_by(server text, dimension text, "from" timestamp with time zone, "to" timestamp with time zone) IS 'session samples of one server by key of a dimension (wait, query, database, user, application, client, backend_type), and in rows without a key the answered ticks: from single ticks up to six hours, beyond that from sums of ten minutes, an hour or a day, to which the newest quarter of an hour comes when it is compacted';

CREATE FUNCTION report.activity_grain("from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE(server_id bigint, server text, "time" timestamp with time zone, step_seconds integer, ticks_planned bigint, ticks_ok bigint, ticks_degraded bigint, ticks_failed bigint, ticks_skipped bigint, samples bigint, max_sessions integer, max_backends integer, cpu bigint, lock bigint, lwlock bigint, io bigint, ipc bigint, client bigint, timeout bigint, buffer bigint, extension bigint, other bigint, idle_in_transaction bigint)
    LANGUAGE sql STABLE
    AS $_$
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
$_$;

COMMENT ON FUNCTION report.activity_grain("from" timestamp with time zone, "to" timestamp with time zone) IS 'samples by wait class and the ledger of all servers: by minute up to two days, beyond that by hour, and by day beyond 180';

CREATE FUNCTION report.activity_series(server text, dimension text, "from" timestamp with time zone, "to" timestamp with time zone, step_ms bigint, top integer) RETURNS TABLE("time" timestamp with time zone, metric text, average_sessions double precision)
    LANGUAGE sql STABLE
    AS $_$
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
$_$;

COMMENT ON FUNCTION report.activity_series(server text, dimension text, "from" timestamp with time zone, "to" timestamp with time zone, step_ms bigint, top integer) IS 'average sessions of one server by the most frequent keys of a dimension, the others as (rest), in steps of so many milliseconds; a step without an answered tick has no row';

CREATE FUNCTION report.activity_step("from" timestamp with time zone, "to" timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $_$
select case when $2 - $1 <= interval '12 minutes' then 1
            when $2 - $1 <= interval '1 hour' then 5
            when $2 - $1 <= interval '3 hours' then 15
            when $2 - $1 <= interval '6 hours' then 60
            when $2 - $1 <= interval '15 days' then 600
            when $2 - $1 <= interval '180 days' then 3600
            else 86400 end
$_$;

COMMENT ON FUNCTION report.activity_step("from" timestamp with time zone, "to" timestamp with time zone) IS 'seconds between the points of report.activity_by: below 600 from single ticks, else from sums of that width';

CREATE TABLE history.lock (
    server_id bigint NOT NULL,
    key bigint NOT NULL,
    lock_type text NOT NULL,
    mode text NOT NULL,
    database_oid oid,
    relation_oid oid,
    relation_name text,
    first_seen_on date NOT NULL,
    last_seen_on date NOT NULL
);

COMMENT ON TABLE history.lock IS 'what the keys of locks stand for';
COMMENT ON COLUMN history.lock.key IS 'keyed hash of what the row says, the same whoever saw it';
COMMENT ON COLUMN history.lock.lock_type IS 'as in pg_locks: relation, tuple, transactionid, advisory …';
COMMENT ON COLUMN history.lock.mode IS 'the mode that was asked for';
COMMENT ON COLUMN history.lock.relation_name IS 'schema and name when it was seen; null: not about a relation, or it could not be read';
COMMENT ON COLUMN history.lock.first_seen_on IS 'UTC day';
COMMENT ON COLUMN history.lock.last_seen_on IS 'UTC day; the row expires with what can name it';

CREATE VIEW report.lock AS
 SELECT l.server_id,
    l.key AS lock_ref,
    l.lock_type,
    l.mode,
    l.database_oid,
    l.relation_oid,
    l.relation_name,
    l.first_seen_on,
    l.last_seen_on
   FROM history.lock l;

COMMENT ON VIEW report.lock IS 'what sessions waited for, by server';
COMMENT ON COLUMN report.lock.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.lock.lock_ref IS 'key of the lock';
COMMENT ON COLUMN report.lock.lock_type IS 'as in pg_locks: relation, tuple, transactionid …; null: not known';
COMMENT ON COLUMN report.lock.mode IS 'lock mode that was asked for';
COMMENT ON COLUMN report.lock.database_oid IS 'oid of the database; null: none';
COMMENT ON COLUMN report.lock.relation_oid IS 'oid of the relation; null: not about one';
COMMENT ON COLUMN report.lock.relation_name IS 'schema and name of the relation; null: not known';
COMMENT ON COLUMN report.lock.first_seen_on IS 'UTC day when it was first seen';
COMMENT ON COLUMN report.lock.last_seen_on IS 'UTC day when it was last seen';

CREATE VIEW report.blocking AS
 SELECT w.server_id,
    s.name AS server,
    w.bucket AS t0,
    e."time",
    e.blocked_pid,
    e.blocked_database,
    e.blocked_user,
    e.blocked_application,
    e.blocker_pid,
    e.blocker_type,
    e.blocker_database,
    e.blocker_user,
    e.blocker_application,
    e.lock_type,
    e.mode,
    e.relation_oid,
    e.relation_name,
    e.root_pid,
    e.root_application,
    e.blocker_is_root
   FROM ((history.activity_row w
     JOIN pgam.server s ON ((s.id = w.server_id)))
     CROSS JOIN LATERAL ( WITH RECURSIVE edge AS (
                 SELECT x.tick,
                    x.blocked,
                    x.blocker,
                    x.lock
                   FROM UNNEST(w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock) x(tick, blocked, blocker, lock)
                ), up AS (
                 SELECT edge_1.tick,
                    edge_1.blocker AS start,
                    edge_1.blocker AS reached
                   FROM edge edge_1
                UNION
                 SELECT up.tick,
                    up.start,
                    edge_1.blocker
                   FROM (up
                     JOIN edge edge_1 ON (((edge_1.tick = up.tick) AND (edge_1.blocked = up.reached))))
                ), root AS (
                 SELECT up.tick,
                    up.start,
                    min(up.reached) AS session
                   FROM (up
                     LEFT JOIN edge edge_1 ON (((edge_1.tick = up.tick) AND (edge_1.blocked = up.reached))))
                  WHERE (edge_1.tick IS NULL)
                  GROUP BY up.tick, up.start
                ), session AS (
                 SELECT n.number,
                    d_1.server_id,
                    d_1.day,
                    d_1.session_id,
                    d_1.pid,
                    d_1.backend_start,
                    d_1.database_oid,
                    d_1.database_name,
                    d_1.user_oid,
                    d_1.user_name,
                    d_1.application_name,
                    d_1.client_addr,
                    d_1.backend_type,
                    d_1.leader_pid
                   FROM (unnest(w.session_keys) WITH ORDINALITY n(key, number)
                     LEFT JOIN report.session d_1 ON (((d_1.server_id = w.server_id) AND (d_1.day = ((w.bucket AT TIME ZONE 'UTC'::text))::date) AND (d_1.session_id = n.key))))
                )
         SELECT (w.bucket + ((k.planned_ms)::double precision * '00:00:00.001'::interval)) AS "time",
            d.pid AS blocked_pid,
            d.database_name AS blocked_database,
            d.user_name AS blocked_user,
            d.application_name AS blocked_application,
            b.pid AS blocker_pid,
            b.backend_type AS blocker_type,
            b.database_name AS blocker_database,
            b.user_name AS blocker_user,
            b.application_name AS blocker_application,
            l.lock_type,
            l.mode,
            l.relation_oid,
            l.relation_name,
            r.pid AS root_pid,
            r.application_name AS root_application,
            (NOT (root.session IS DISTINCT FROM edge.blocker)) AS blocker_is_root
           FROM ((((((edge
             JOIN unnest(w.tick_planned_ms) WITH ORDINALITY k(planned_ms, number) ON ((k.number = edge.tick)))
             LEFT JOIN root ON (((root.tick = edge.tick) AND (root.start = edge.blocker))))
             LEFT JOIN session d ON ((d.number = edge.blocked)))
             LEFT JOIN session b ON ((b.number = edge.blocker)))
             LEFT JOIN session r ON ((r.number = root.session)))
             LEFT JOIN ( SELECT n.number,
                    l_1.server_id,
                    l_1.lock_ref,
                    l_1.lock_type,
                    l_1.mode,
                    l_1.database_oid,
                    l_1.relation_oid,
                    l_1.relation_name,
                    l_1.first_seen_on,
                    l_1.last_seen_on
                   FROM (unnest(w.lock_keys) WITH ORDINALITY n(key, number)
                     LEFT JOIN report.lock l_1 ON (((l_1.server_id = w.server_id) AND (l_1.lock_ref = n.key))))) l ON ((l.number = edge.lock)))
         OFFSET 0) e)
  WHERE (w.edge_tick IS NOT NULL);

COMMENT ON VIEW report.blocking IS 'who waited for whom at each tick, for which lock, and behind which root; filter on t0, by which the data is partitioned (ticks lie within ten minutes after it), or ask report.blocking_between';
COMMENT ON COLUMN report.blocking.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.blocking.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.blocking.t0 IS 'start of the ten minutes that hold the sample, UTC; filter on it';
COMMENT ON COLUMN report.blocking."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.blocking.blocked_pid IS 'process id of the session that waits';
COMMENT ON COLUMN report.blocking.blocked_database IS 'its database';
COMMENT ON COLUMN report.blocking.blocked_user IS 'its role';
COMMENT ON COLUMN report.blocking.blocked_application IS 'its application_name';
COMMENT ON COLUMN report.blocking.blocker_pid IS 'process id of one that it waits for; 0: a prepared transaction; null: not known';
COMMENT ON COLUMN report.blocking.blocker_type IS 'its backend type, or prepared transaction';
COMMENT ON COLUMN report.blocking.blocker_database IS 'its database';
COMMENT ON COLUMN report.blocking.blocker_user IS 'its role';
COMMENT ON COLUMN report.blocking.blocker_application IS 'its application_name; of a prepared transaction its identifier';
COMMENT ON COLUMN report.blocking.lock_type IS 'as in pg_locks: relation, tuple, transactionid …; null: not known';
COMMENT ON COLUMN report.blocking.mode IS 'lock mode that was asked for';
COMMENT ON COLUMN report.blocking.relation_oid IS 'oid of the relation; null: not about one';
COMMENT ON COLUMN report.blocking.relation_name IS 'schema and name of the relation; null: not known';
COMMENT ON COLUMN report.blocking.root_pid IS 'process id of the session at the end of the chain, which waits for nobody; 0: a prepared transaction; null: the chain is a ring';
COMMENT ON COLUMN report.blocking.root_application IS 'its application_name; of a prepared transaction its identifier';
COMMENT ON COLUMN report.blocking.blocker_is_root IS 'true: the blocker waits for nobody';

CREATE FUNCTION report.blocking_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) RETURNS SETOF report.blocking
    LANGUAGE sql STABLE
    AS $_$
select b.*
  from report.blocking b
 where b.server_id = (select s.server_id from report.server s where s.server = $1)
   and b.t0 >= date_bin('10 minutes', $2, timestamptz 'epoch')
   and b.t0 < $3
   and b."time" >= $2
   and b."time" < $3
$_$;

COMMENT ON FUNCTION report.blocking_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) IS 'report.blocking of one server, from the first instant until before the second; reads the partitions of that range only';

CREATE FUNCTION report.database_grain("from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE(server text, "time" timestamp with time zone, database_name text, seconds double precision, connections double precision, xact_commit bigint, xact_rollback bigint, blks_read bigint, blks_hit bigint, tup_returned bigint, tup_inserted bigint, tup_updated bigint, tup_deleted bigint, temp_bytes bigint, deadlocks bigint, blk_read_time_ms double precision, blk_write_time_ms double precision)
    LANGUAGE sql STABLE
    AS $_$
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
$_$;

COMMENT ON FUNCTION report.database_grain("from" timestamp with time zone, "to" timestamp with time zone) IS 'what each database did, and the seconds that it was counted in: as sampled up to six hours, by ten minutes up to two days, by hour up to 120, beyond that by day. A rate is the sum of a counter over the sum of seconds';

CREATE FUNCTION report.database_step("from" timestamp with time zone, "to" timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $_$
select case when $2 - $1 <= interval '6 hours' then 0
            when $2 - $1 <= interval '2 days' then 600
            when $2 - $1 <= interval '120 days' then 3600
            else 86400 end
$_$;

COMMENT ON FUNCTION report.database_step("from" timestamp with time zone, "to" timestamp with time zone) IS 'width in seconds of the sums that report.database_grain reads; 0: rows as sampled';

CREATE FUNCTION report.dimension(number smallint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$ select (array['wait', 'query', 'database', 'user', 'application', 'client', 'backend_type'])[$1] $_$;

COMMENT ON FUNCTION report.dimension(number smallint) IS 'name of what sessions are counted by';

CREATE FUNCTION report.disk_grain("from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE(server text, "time" timestamp with time zone, mount_point text, total_bytes bigint, free_bytes bigint, inodes_free bigint)
    LANGUAGE sql STABLE
    AS $_$
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
$_$;

COMMENT ON FUNCTION report.disk_grain("from" timestamp with time zone, "to" timestamp with time zone) IS 'how full file systems were: as sampled up to six hours, beyond that the least free of each hour';

CREATE FUNCTION report.fleet_step("from" timestamp with time zone, "to" timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $_$
select case when $2 - $1 <= interval '48 hours' then 60
            when $2 - $1 <= interval '180 days' then 3600
            else 86400 end
$_$;

COMMENT ON FUNCTION report.fleet_step("from" timestamp with time zone, "to" timestamp with time zone) IS 'width in seconds of the sums that report.activity_grain reads: minutes, hours or days';

CREATE FUNCTION report.outcome(number smallint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$ select (array['ok', 'degraded', 'failed', 'skipped'])[coalesce($1, 0) + 1] $_$;

COMMENT ON FUNCTION report.outcome(number smallint) IS 'how a planned tick ended';

CREATE TABLE history.activity_minute (
    server_id bigint NOT NULL,
    minute timestamp with time zone NOT NULL,
    first_planned_ms integer NOT NULL,
    last_planned_ms integer NOT NULL,
    first_cadence_ms integer NOT NULL,
    cadence_ms integer NOT NULL,
    ticks_ok integer NOT NULL,
    ticks_degraded integer NOT NULL,
    ticks_failed integer NOT NULL,
    ticks_skipped integer NOT NULL,
    ticks_missing integer NOT NULL,
    first_seen_ms integer,
    last_seen_ms integer,
    longest_gap_ms integer NOT NULL,
    fault_outcome smallint[],
    fault_reason smallint[],
    fault_ticks integer[],
    samples bigint NOT NULL,
    max_sessions integer NOT NULL,
    max_backends integer,
    cpu bigint NOT NULL,
    lock bigint NOT NULL,
    lwlock bigint NOT NULL,
    io bigint NOT NULL,
    ipc bigint NOT NULL,
    client bigint NOT NULL,
    timeout bigint NOT NULL,
    buffer bigint NOT NULL,
    extension bigint NOT NULL,
    other bigint NOT NULL,
    idle_in_transaction bigint NOT NULL
)
PARTITION BY RANGE (minute);

COMMENT ON TABLE history.activity_minute IS 'one row a server and minute of ten that are compacted: what became of its ticks, and session samples by wait class; divide by ticks_ok + ticks_degraded for average active sessions. Made anew whenever its ten minutes are compacted';
COMMENT ON COLUMN history.activity_minute.minute IS 'start of the minute, UTC';
COMMENT ON COLUMN history.activity_minute.first_planned_ms IS 'milliseconds from the start to when the first tick was planned';
COMMENT ON COLUMN history.activity_minute.last_planned_ms IS 'milliseconds from the start to when the last tick was planned';
COMMENT ON COLUMN history.activity_minute.first_cadence_ms IS 'milliseconds between planned ticks at the first one';
COMMENT ON COLUMN history.activity_minute.cadence_ms IS 'milliseconds between planned ticks at the last one';
COMMENT ON COLUMN history.activity_minute.ticks_ok IS 'ticks answered in full';
COMMENT ON COLUMN history.activity_minute.ticks_degraded IS 'ticks answered in part';
COMMENT ON COLUMN history.activity_minute.ticks_failed IS 'ticks not answered';
COMMENT ON COLUMN history.activity_minute.ticks_skipped IS 'ticks at which the server was not asked';
COMMENT ON COLUMN history.activity_minute.ticks_missing IS 'ticks that the cadence promised between the first and the last one and that are not there: no collector ran';
COMMENT ON COLUMN history.activity_minute.first_seen_ms IS 'milliseconds from the start to when the first answered tick was begun; null: none was answered';
COMMENT ON COLUMN history.activity_minute.last_seen_ms IS 'milliseconds from the start to when the last answered tick was begun; null: none was answered';
COMMENT ON COLUMN history.activity_minute.longest_gap_ms IS 'milliseconds of the longest time between two answered ticks if one is missing between them; 0: none is';
COMMENT ON COLUMN history.activity_minute.fault_outcome IS 'outcomes of ticks that were not ok: 1 degraded, 2 failed, 3 skipped; null: all were ok';
COMMENT ON COLUMN history.activity_minute.fault_reason IS 'history.reason.id of each of them';
COMMENT ON COLUMN history.activity_minute.fault_ticks IS 'ticks of each of them';
COMMENT ON COLUMN history.activity_minute.samples IS 'session samples; of sums those that are load, the sum of the class columns';
COMMENT ON COLUMN history.activity_minute.max_sessions IS 'most sessions in one tick that are load';
COMMENT ON COLUMN history.activity_minute.max_backends IS 'most connections in one tick, idle ones too; null: never known';
COMMENT ON COLUMN history.activity_minute.cpu IS 'samples of active sessions with no wait event';
COMMENT ON COLUMN history.activity_minute.lock IS 'samples that waited for a lock';
COMMENT ON COLUMN history.activity_minute.lwlock IS 'samples that waited for a lightweight lock';
COMMENT ON COLUMN history.activity_minute.io IS 'samples that waited for files';
COMMENT ON COLUMN history.activity_minute.ipc IS 'samples that waited for another process';
COMMENT ON COLUMN history.activity_minute.client IS 'samples that waited for the client';
COMMENT ON COLUMN history.activity_minute.timeout IS 'samples that waited for a time to pass';
COMMENT ON COLUMN history.activity_minute.buffer IS 'samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';
COMMENT ON COLUMN history.activity_minute.extension IS 'samples that waited in an extension';
COMMENT ON COLUMN history.activity_minute.other IS 'samples that waited for something else';
COMMENT ON COLUMN history.activity_minute.idle_in_transaction IS 'samples of sessions idle in a transaction, whatever they wait for; in no other class';

CREATE TABLE history.activity_rollup (
    server_id bigint NOT NULL,
    step_seconds integer NOT NULL,
    dimension smallint NOT NULL,
    bucket timestamp with time zone NOT NULL,
    ticks integer NOT NULL,
    samples bigint NOT NULL,
    keys bigint[] NOT NULL,
    key_samples bigint[] NOT NULL,
    key_peaks integer[] NOT NULL,
    tail_keys integer NOT NULL,
    tail_samples bigint NOT NULL,
    CONSTRAINT activity_rollup_keys CHECK (((cardinality(key_samples) = cardinality(keys)) AND (cardinality(key_peaks) = cardinality(keys))))
)
PARTITION BY RANGE (step_seconds, bucket);

COMMENT ON TABLE history.activity_rollup IS 'session samples that are load by ten minutes, hour and day and by the keys of a dimension, from compacted buckets; divide by ticks for average sessions. Partitioned by step, then time: give both';
COMMENT ON COLUMN history.activity_rollup.step_seconds IS 'width of the bucket: 3600 or 86400, in history.activity_rollup 600 too';
COMMENT ON COLUMN history.activity_rollup.dimension IS '1 wait (history.wait), 2 query (history.query), 3 database, 4 user, 5 application, 6 client, 7 backend type (history.label)';
COMMENT ON COLUMN history.activity_rollup.bucket IS 'start of the bucket, UTC; in history.activity of ten minutes, from which all milliseconds of the row count';
COMMENT ON COLUMN history.activity_rollup.ticks IS 'answered ticks of the bucket';
COMMENT ON COLUMN history.activity_rollup.samples IS 'session samples; of sums those that are load, the sum of the class columns';
COMMENT ON COLUMN history.activity_rollup.keys IS 'keys of the dimension''s dictionary, the most frequent first; 0: none (no query, no database …)';
COMMENT ON COLUMN history.activity_rollup.key_samples IS 'session samples of each key';
COMMENT ON COLUMN history.activity_rollup.key_peaks IS 'most sessions of each key in one tick';
COMMENT ON COLUMN history.activity_rollup.tail_keys IS 'at least so many keys are not listed, because they were more than 100';
COMMENT ON COLUMN history.activity_rollup.tail_samples IS 'samples that are not counted under a key: of keys that are not listed, or were not in a finer bucket';

CREATE TABLE history.activity_total (
    server_id bigint NOT NULL,
    step_seconds integer NOT NULL,
    bucket timestamp with time zone NOT NULL,
    first_planned_ms integer NOT NULL,
    last_planned_ms integer NOT NULL,
    first_cadence_ms integer NOT NULL,
    cadence_ms integer NOT NULL,
    ticks_ok integer NOT NULL,
    ticks_degraded integer NOT NULL,
    ticks_failed integer NOT NULL,
    ticks_skipped integer NOT NULL,
    ticks_missing integer NOT NULL,
    first_seen_ms integer,
    last_seen_ms integer,
    longest_gap_ms integer NOT NULL,
    fault_outcome smallint[],
    fault_reason smallint[],
    fault_ticks integer[],
    samples bigint NOT NULL,
    max_sessions integer NOT NULL,
    max_backends integer,
    cpu bigint NOT NULL,
    lock bigint NOT NULL,
    lwlock bigint NOT NULL,
    io bigint NOT NULL,
    ipc bigint NOT NULL,
    client bigint NOT NULL,
    timeout bigint NOT NULL,
    buffer bigint NOT NULL,
    extension bigint NOT NULL,
    other bigint NOT NULL,
    idle_in_transaction bigint NOT NULL
)
PARTITION BY RANGE (bucket);

COMMENT ON TABLE history.activity_total IS 'activity_minute by hour (step_seconds 3600) and day (86400): what a year is answered from';
COMMENT ON COLUMN history.activity_total.step_seconds IS 'width of the bucket: 3600 or 86400, in history.activity_rollup 600 too';
COMMENT ON COLUMN history.activity_total.bucket IS 'start of the bucket, UTC; in history.activity of ten minutes, from which all milliseconds of the row count';
COMMENT ON COLUMN history.activity_total.first_planned_ms IS 'milliseconds from the start to when the first tick was planned';
COMMENT ON COLUMN history.activity_total.last_planned_ms IS 'milliseconds from the start to when the last tick was planned';
COMMENT ON COLUMN history.activity_total.first_cadence_ms IS 'milliseconds between planned ticks at the first one';
COMMENT ON COLUMN history.activity_total.cadence_ms IS 'milliseconds between planned ticks at the last one';
COMMENT ON COLUMN history.activity_total.ticks_ok IS 'ticks answered in full';
COMMENT ON COLUMN history.activity_total.ticks_degraded IS 'ticks answered in part';
COMMENT ON COLUMN history.activity_total.ticks_failed IS 'ticks not answered';
COMMENT ON COLUMN history.activity_total.ticks_skipped IS 'ticks at which the server was not asked';
COMMENT ON COLUMN history.activity_total.ticks_missing IS 'ticks that the cadence promised between the first and the last one and that are not there: no collector ran';
COMMENT ON COLUMN history.activity_total.first_seen_ms IS 'milliseconds from the start to when the first answered tick was begun; null: none was answered';
COMMENT ON COLUMN history.activity_total.last_seen_ms IS 'milliseconds from the start to when the last answered tick was begun; null: none was answered';
COMMENT ON COLUMN history.activity_total.longest_gap_ms IS 'milliseconds of the longest time between two answered ticks if one is missing between them; 0: none is';
COMMENT ON COLUMN history.activity_total.fault_outcome IS 'outcomes of ticks that were not ok: 1 degraded, 2 failed, 3 skipped; null: all were ok';
COMMENT ON COLUMN history.activity_total.fault_reason IS 'history.reason.id of each of them';
COMMENT ON COLUMN history.activity_total.fault_ticks IS 'ticks of each of them';
COMMENT ON COLUMN history.activity_total.samples IS 'session samples; of sums those that are load, the sum of the class columns';
COMMENT ON COLUMN history.activity_total.max_sessions IS 'most sessions in one tick that are load';
COMMENT ON COLUMN history.activity_total.max_backends IS 'most connections in one tick, idle ones too; null: never known';
COMMENT ON COLUMN history.activity_total.cpu IS 'samples of active sessions with no wait event';
COMMENT ON COLUMN history.activity_total.lock IS 'samples that waited for a lock';
COMMENT ON COLUMN history.activity_total.lwlock IS 'samples that waited for a lightweight lock';
COMMENT ON COLUMN history.activity_total.io IS 'samples that waited for files';
COMMENT ON COLUMN history.activity_total.ipc IS 'samples that waited for another process';
COMMENT ON COLUMN history.activity_total.client IS 'samples that waited for the client';
COMMENT ON COLUMN history.activity_total.timeout IS 'samples that waited for a time to pass';
COMMENT ON COLUMN history.activity_total.buffer IS 'samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';
COMMENT ON COLUMN history.activity_total.extension IS 'samples that waited in an extension';
COMMENT ON COLUMN history.activity_total.other IS 'samples that waited for something else';
COMMENT ON COLUMN history.activity_total.idle_in_transaction IS 'samples of sessions idle in a transaction, whatever they wait for; in no other class';

CREATE TABLE history.cpu_count (
    server_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    cpu_count integer NOT NULL,
    CONSTRAINT cpu_count_cpu_count_check CHECK ((cpu_count > 0))
);

COMMENT ON TABLE history.cpu_count IS 'processors of each server''s host, from when on; a new row where there are others';
COMMENT ON COLUMN history.cpu_count.cpu_count IS 'processors that the host has online; a quota of a container or a unit is not in it';

CREATE TABLE history.database (
    server_id bigint NOT NULL,
    oid oid NOT NULL,
    name text NOT NULL,
    is_template boolean NOT NULL,
    allow_connect boolean NOT NULL,
    encoding text,
    created_at timestamp with time zone,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    dropped_at timestamp with time zone
);

COMMENT ON TABLE history.database IS 'inventory of databases; a rename makes a new row with the same oid';
COMMENT ON COLUMN history.database.created_at IS 'when it was created, to the inventory interval; null: it was there before the first look';
COMMENT ON COLUMN history.database.dropped_at IS 'first inventory without it; null: it is there';

CREATE TABLE history.database_look (
    server_id bigint NOT NULL,
    planned_at timestamp with time zone NOT NULL,
    sampled_at timestamp with time zone NOT NULL,
    databases integer NOT NULL,
    CONSTRAINT database_look_databases_check CHECK ((databases >= 0))
)
PARTITION BY RANGE (planned_at);

COMMENT ON TABLE history.database_look IS 'every answered look at pg_stat_database: a database without a row of this look, but with one of the last 330 seconds, had the values of that; one without is gone. What was not answered has no row';
COMMENT ON COLUMN history.database_look.planned_at IS 'when the look was to be taken, UTC';
COMMENT ON COLUMN history.database_look.sampled_at IS 'when it was taken, UTC';
COMMENT ON COLUMN history.database_look.databases IS 'how many databases were in it, shared objects too';

CREATE VIEW history.database_name AS
 SELECT d.server_id,
    d.oid,
    d.name,
    d.first_seen_at,
    lead(d.first_seen_at) OVER (PARTITION BY d.server_id, d.oid ORDER BY d.first_seen_at) AS next_at
   FROM history.database d;

COMMENT ON VIEW history.database_name IS 'what a database was called, from first_seen_at until before next_at';

CREATE TABLE history.database_rollup (
    server_id bigint NOT NULL,
    step_seconds integer NOT NULL,
    database_oid oid NOT NULL,
    bucket timestamp with time zone NOT NULL,
    samples integer NOT NULL,
    seconds double precision NOT NULL,
    backend_seconds double precision NOT NULL,
    counted_seconds double precision NOT NULL,
    backends_min integer,
    backends_max integer,
    backends_last integer,
    last_sample_at timestamp with time zone,
    size_bytes bigint,
    size_at timestamp with time zone,
    xact_commit bigint,
    xact_rollback bigint,
    blks_read bigint,
    blks_hit bigint,
    tup_returned bigint,
    tup_fetched bigint,
    tup_inserted bigint,
    tup_updated bigint,
    tup_deleted bigint,
    conflicts bigint,
    temp_files bigint,
    temp_bytes bigint,
    deadlocks bigint,
    sessions bigint,
    blk_read_time_ms double precision,
    blk_write_time_ms double precision,
    session_time_ms double precision,
    active_time_ms double precision,
    idle_in_transaction_time_ms double precision,
    CONSTRAINT database_rollup_check CHECK ((bucket = date_bin(((step_seconds)::double precision * '00:00:01'::interval), bucket, '1970-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT database_rollup_step_seconds_check CHECK ((step_seconds = ANY (ARRAY[600, 3600, 86400])))
)
PARTITION BY RANGE (step_seconds, bucket);

COMMENT ON TABLE history.database_rollup IS 'database_stat and database_size by ten minutes, hour and day (UTC): what was added between two rows is shared out by time over the buckets that it touches. Ten minutes are made of rows, hours of ten minutes, days of hours, each anew. Partitioned by step, then time: give both';
COMMENT ON COLUMN history.database_rollup.step_seconds IS 'width of the bucket: 600, 3600 or 86400';
COMMENT ON COLUMN history.database_rollup.database_oid IS 'oid in history.database; 0: shared objects';
COMMENT ON COLUMN history.database_rollup.bucket IS 'start of the bucket, UTC';
COMMENT ON COLUMN history.database_rollup.samples IS 'rows of database_stat in the bucket; 0: only something that reaches into it is known';
COMMENT ON COLUMN history.database_rollup.seconds IS 'seconds in which connections are known: backend_seconds is of them';
COMMENT ON COLUMN history.database_rollup.backend_seconds IS 'integral of connections over time; divide by seconds for the average';
COMMENT ON COLUMN history.database_rollup.counted_seconds IS 'seconds that the counters are of; divide by it for a rate. 0: nothing was counted';
COMMENT ON COLUMN history.database_rollup.backends_min IS 'fewest connections in a row; null: shared objects, or no row';
COMMENT ON COLUMN history.database_rollup.backends_max IS 'most connections in a row; null as backends_min';
COMMENT ON COLUMN history.database_rollup.backends_last IS 'connections in the newest row; null as backends_min';
COMMENT ON COLUMN history.database_rollup.last_sample_at IS 'the newest row of the bucket; null: none';
COMMENT ON COLUMN history.database_rollup.size_bytes IS 'newest size of the bucket in bytes; null: none was measured in it';
COMMENT ON COLUMN history.database_rollup.size_at IS 'when size_bytes was measured';
COMMENT ON COLUMN history.database_rollup.xact_commit IS 'commits in the bucket; the counters that follow likewise, null where the server does not count them';
COMMENT ON COLUMN history.database_rollup.temp_bytes IS 'bytes';
COMMENT ON COLUMN history.database_rollup.blk_read_time_ms IS 'milliseconds; needs track_io_timing on the server';

CREATE TABLE history.database_size (
    server_id bigint NOT NULL,
    sampled_at timestamp with time zone NOT NULL,
    database_oid oid NOT NULL,
    size_bytes bigint,
    duration_ms integer NOT NULL,
    reason smallint NOT NULL
)
PARTITION BY RANGE (sampled_at);

COMMENT ON TABLE history.database_size IS 'pg_database_size, one database at a time, each with its own instant';
COMMENT ON COLUMN history.database_size.size_bytes IS 'bytes on disk; null: it could not be read, reason says why';
COMMENT ON COLUMN history.database_size.reason IS 'history.reason.id; 0 when the size is known';

CREATE TABLE history.database_stat (
    server_id bigint NOT NULL,
    database_oid oid NOT NULL,
    planned_at timestamp with time zone NOT NULL,
    sampled_at timestamp with time zone NOT NULL,
    previous_at timestamp with time zone,
    instance bigint NOT NULL,
    numbackends integer,
    stats_reset timestamp with time zone,
    checksum_last_failure timestamp with time zone,
    xact_commit bigint,
    xact_rollback bigint,
    blks_read bigint,
    blks_hit bigint,
    tup_returned bigint,
    tup_fetched bigint,
    tup_inserted bigint,
    tup_updated bigint,
    tup_deleted bigint,
    conflicts bigint,
    temp_files bigint,
    temp_bytes bigint,
    deadlocks bigint,
    checksum_failures bigint,
    sessions bigint,
    sessions_abandoned bigint,
    sessions_fatal bigint,
    sessions_killed bigint,
    parallel_workers_to_launch bigint,
    parallel_workers_launched bigint,
    blk_read_time_ms double precision,
    blk_write_time_ms double precision,
    session_time_ms double precision,
    active_time_ms double precision,
    idle_in_transaction_time_ms double precision,
    CONSTRAINT database_stat_check CHECK ((previous_at < sampled_at)),
    CONSTRAINT database_stat_numbackends_check CHECK ((numbackends >= 0))
)
PARTITION BY RANGE (planned_at);

COMMENT ON TABLE history.database_stat IS 'pg_stat_database as it said; a database in which nothing changed has a row every five minutes only. What was added between a row and the one before is their difference if instance and stats_reset are the same, no counter went down and it is at most a day; it was added after the later of sampled_at of the row before and previous_at';
COMMENT ON COLUMN history.database_stat.database_oid IS 'oid in history.database; 0: shared objects';
COMMENT ON COLUMN history.database_stat.planned_at IS 'when the look was to be taken, UTC: who takes it twice stores it once';
COMMENT ON COLUMN history.database_stat.sampled_at IS 'when it was taken, UTC';
COMMENT ON COLUMN history.database_stat.previous_at IS 'the look before, in which all was as in the row before; null: there was none, or it was of another instance';
COMMENT ON COLUMN history.database_stat.instance IS 'hash of system identifier, start of the postmaster and of the checkpointer, and recovery: counters of different ones have nothing to do with each other; 0: not known';
COMMENT ON COLUMN history.database_stat.numbackends IS 'connections at this instant; null for shared objects';
COMMENT ON COLUMN history.database_stat.xact_commit IS 'commits since stats_reset; the counters that follow likewise, null where the server does not count them';
COMMENT ON COLUMN history.database_stat.temp_bytes IS 'bytes';
COMMENT ON COLUMN history.database_stat.sessions IS 'sessions established; PostgreSQL 14 and later';
COMMENT ON COLUMN history.database_stat.blk_read_time_ms IS 'milliseconds; needs track_io_timing on the server';
COMMENT ON COLUMN history.database_stat.blk_write_time_ms IS 'milliseconds; needs track_io_timing on the server';
COMMENT ON COLUMN history.database_stat.session_time_ms IS 'milliseconds; PostgreSQL 14 and later';
COMMENT ON COLUMN history.database_stat.active_time_ms IS 'milliseconds; PostgreSQL 14 and later';
COMMENT ON COLUMN history.database_stat.idle_in_transaction_time_ms IS 'milliseconds; PostgreSQL 14 and later';

CREATE TABLE history.disk_rollup (
    server_id bigint NOT NULL,
    bucket timestamp with time zone NOT NULL,
    mount_point text NOT NULL,
    last_sample_at timestamp with time zone NOT NULL,
    total_bytes bigint,
    free_bytes bigint,
    free_bytes_min bigint,
    inodes_free bigint
)
PARTITION BY RANGE (bucket);

COMMENT ON TABLE history.disk_rollup IS 'disk_usage by hour (UTC)';
COMMENT ON COLUMN history.disk_rollup.bucket IS 'start of the hour, UTC';
COMMENT ON COLUMN history.disk_rollup.last_sample_at IS 'the newest row of the hour';
COMMENT ON COLUMN history.disk_rollup.total_bytes IS 'size in bytes, of the newest row; null: unknown';
COMMENT ON COLUMN history.disk_rollup.free_bytes IS 'bytes that an unprivileged process can use, of the newest row; null: unknown';
COMMENT ON COLUMN history.disk_rollup.free_bytes_min IS 'least of the hour';
COMMENT ON COLUMN history.disk_rollup.inodes_free IS 'of the newest row; null: unknown';

CREATE TABLE history.disk_usage (
    server_id bigint NOT NULL,
    sampled_at timestamp with time zone NOT NULL,
    mount_point text NOT NULL,
    total_bytes bigint,
    free_bytes bigint,
    inodes_total bigint,
    inodes_free bigint
)
PARTITION BY RANGE (sampled_at);

COMMENT ON TABLE history.disk_usage IS 'how full file systems are; one in which nothing changed is written every five minutes only';
COMMENT ON COLUMN history.disk_usage.total_bytes IS 'size of the file system; null: unknown';
COMMENT ON COLUMN history.disk_usage.free_bytes IS 'bytes that an unprivileged process can use; null: unknown';
COMMENT ON COLUMN history.disk_usage.inodes_total IS 'null: the file system has no fixed number, or it is unknown';

CREATE TABLE history.event (
    server_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    old text,
    new text,
    detail text
)
PARTITION BY RANGE (at);

COMMENT ON TABLE history.event IS 'what explains a step in a chart; server_id 0: the monitor itself';
COMMENT ON COLUMN history.event.kind IS 'restart, crash, promotion, demotion, instance, version, setting, statistics_reset, database_created, database_dropped, database_renamed, collector_started, collector_stopped, collector_gap, collector_clock, server_added, server_changed, server_paused, server_removed, burst_started, burst_ended, clock_differs, clock_agrees';
COMMENT ON COLUMN history.event.subject IS 'what it is about: a setting''s or database''s name; empty: the server';

CREATE TABLE history.file_system (
    server_id bigint NOT NULL,
    mount_point text NOT NULL,
    device text NOT NULL,
    uses text[] NOT NULL,
    source text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE history.file_system IS 'file systems of the servers'' hosts that hold data of PostgreSQL';
COMMENT ON COLUMN history.file_system.device IS 'what is mounted; empty: unknown';
COMMENT ON COLUMN history.file_system.uses IS 'what it holds, as last seen: data, wal, tablespace:NAME';
COMMENT ON COLUMN history.file_system.source IS 'how it was last looked at: ssh, local, or import';

CREATE TABLE history.horizon (
    server_id bigint NOT NULL,
    sampled_at timestamp with time zone NOT NULL,
    holder text NOT NULL,
    name text NOT NULL,
    xmin_age bigint NOT NULL
)
PARTITION BY RANGE (sampled_at);

COMMENT ON TABLE history.horizon IS 'what beside sessions keeps rows from being vacuumed: the oldest of each kind, written when it changes and every five minutes';
COMMENT ON COLUMN history.horizon.holder IS 'prepared_transaction, replication_slot or standby';
COMMENT ON COLUMN history.horizon.xmin_age IS 'transactions since';

CREATE TABLE history.label (
    server_id bigint NOT NULL,
    key bigint NOT NULL,
    dimension smallint NOT NULL,
    text text NOT NULL,
    last_seen_on date NOT NULL
);

COMMENT ON TABLE history.label IS 'texts that activity_rollup counts by';
COMMENT ON COLUMN history.label.key IS 'keyed hash of what the row says, the same whoever saw it';
COMMENT ON COLUMN history.label.dimension IS '1 wait (history.wait), 2 query (history.query), 3 database, 4 user, 5 application, 6 client, 7 backend type (history.label)';
COMMENT ON COLUMN history.label.text IS 'of a statement as the server''s query_texts allow it; null: not seen, or none are kept';
COMMENT ON COLUMN history.label.last_seen_on IS 'UTC day; the row expires with what can name it';

CREATE TABLE history.progress (
    server_id bigint NOT NULL,
    flushes bigint DEFAULT 0 NOT NULL,
    flushed_at timestamp with time zone,
    compacted_until timestamp with time zone,
    databases_from timestamp with time zone
);

COMMENT ON TABLE history.progress IS 'one row a server: whoever writes its samples, or compacts them, locks this row first';
COMMENT ON COLUMN history.progress.flushes IS 'how often samples of the server were written: fewer than before tells of an older stats_db';
COMMENT ON COLUMN history.progress.flushed_at IS 'when samples were last written, by this database''s clock';
COMMENT ON COLUMN history.progress.compacted_until IS 'end of the newest bucket that was compacted; older slots may have come since';
COMMENT ON COLUMN history.progress.databases_from IS 'rollups of databases are right before the ten minutes that hold this instant, from there on rows count; null: they are right everywhere';

CREATE TABLE history.reason (
    id smallint NOT NULL,
    name text NOT NULL
);

COMMENT ON TABLE history.reason IS 'why a planned tick was not ok';

CREATE TABLE history.server_identity (
    server_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    version_num integer NOT NULL,
    version text NOT NULL,
    system_identifier bigint,
    timeline_id integer,
    postmaster_start timestamp with time zone NOT NULL,
    in_recovery boolean NOT NULL,
    checkpointer_start timestamp with time zone
);

COMMENT ON TABLE history.server_identity IS 'which instance answered, from when on; a new row at every restart, promotion, upgrade or change of instance';
COMMENT ON COLUMN history.server_identity.checkpointer_start IS 'when the checkpointer started: later than before with the same postmaster_start, the server had crashed; null: not known';

CREATE TABLE history.setting (
    server_id bigint NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    since timestamp with time zone NOT NULL
);

COMMENT ON TABLE history.setting IS 'pg_settings of each server as last seen; values that may hold a secret are kept as a fingerprint';

CREATE TABLE pgam.account (
    id bigint NOT NULL,
    login text NOT NULL,
    password_hash text NOT NULL,
    role text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    token_epoch bigint DEFAULT pgam.new_token_epoch() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_login_at timestamp with time zone,
    CONSTRAINT account_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'admin'::text])))
);

COMMENT ON TABLE pgam.account IS 'who may ask the API';
COMMENT ON COLUMN pgam.account.password_hash IS 'bcrypt';
COMMENT ON COLUMN pgam.account.token_epoch IS 'drawn at random; another one ends every token issued before';

ALTER TABLE pgam.account ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgam.account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pgam.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    account text NOT NULL,
    client_addr inet,
    action text NOT NULL,
    server text,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    outcome text,
    reason text,
    CONSTRAINT audit_outcome_check CHECK ((outcome = ANY (ARRAY['ok'::text, 'refused'::text, 'failed'::text])))
);

COMMENT ON TABLE pgam.audit IS 'what was done to servers and their sessions, also what was refused; a row is there before the act';
COMMENT ON COLUMN pgam.audit.account IS 'login of who asked';
COMMENT ON COLUMN pgam.audit.client_addr IS 'from where; null: not known';
COMMENT ON COLUMN pgam.audit.action IS 'session.cancel, session.terminate';
COMMENT ON COLUMN pgam.audit.server IS 'name of the server, as it was then; null: none, or no name';
COMMENT ON COLUMN pgam.audit.detail IS 'what it was done to: pid, backend_start, user, …';
COMMENT ON COLUMN pgam.audit.outcome IS 'ok, refused or failed; null: not known, as where the program was ended meanwhile';
COMMENT ON COLUMN pgam.audit.reason IS 'why it was refused or failed, as who asked was told; null: it was not';

ALTER TABLE pgam.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgam.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pgam.ended_session (
    account_id bigint NOT NULL,
    session text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT ended_session_session_check CHECK (((length(session) >= 1) AND (length(session) <= 64)))
);

COMMENT ON TABLE pgam.ended_session IS 'logins that were logged out; kept until the last token of the login has expired';
COMMENT ON COLUMN pgam.ended_session.session IS 'claim sid of the tokens of the login';
COMMENT ON COLUMN pgam.ended_session.expires_at IS 'when the last token of the login expires, at the latest';

CREATE TABLE pgam.instance (
    one boolean DEFAULT true NOT NULL,
    id text DEFAULT md5(((random())::text || (clock_timestamp())::text)) NOT NULL,
    CONSTRAINT instance_one_check CHECK (one)
)
WITH (fillfactor='10');

COMMENT ON TABLE pgam.instance IS 'which stats_db this is: one that was made anew under a running collector has another id';
COMMENT ON COLUMN pgam.instance.one IS 'there is one row';
COMMENT ON COLUMN pgam.instance.id IS 'drawn when it was made; a dump has it too: history.progress.flushes tells an older one';

CREATE TABLE pgam.lease (
    one boolean DEFAULT true NOT NULL,
    holder text,
    term bigint NOT NULL,
    beats bigint DEFAULT 0 NOT NULL,
    renewed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT lease_one_check CHECK (one)
)
WITH (fillfactor='10');

COMMENT ON TABLE pgam.lease IS 'the one collector that samples; another takes over when beats stands still for ten seconds';
COMMENT ON COLUMN pgam.lease.one IS 'there is one row';
COMMENT ON COLUMN pgam.lease.holder IS 'host and journal of the collector; null: it gave the lease back';
COMMENT ON COLUMN pgam.lease.term IS 'grows with every taking';
COMMENT ON COLUMN pgam.lease.beats IS 'grows every two seconds while the holder is well';
COMMENT ON COLUMN pgam.lease.renewed_at IS 'of the last beat, by this server''s clock; to look at, nothing is decided by it';

CREATE UNLOGGED TABLE pgam.login_bucket (
    key bytea NOT NULL,
    level double precision NOT NULL,
    capacity double precision NOT NULL,
    drain double precision NOT NULL,
    is_full boolean DEFAULT false NOT NULL,
    filled_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE pgam.login_bucket IS 'attempts to log in, of the last hour';
COMMENT ON COLUMN pgam.login_bucket.key IS 'SHA-256 of what is counted: an address, a network or a login';
COMMENT ON COLUMN pgam.login_bucket.level IS 'attempts that have not drained yet, as of filled_at';
COMMENT ON COLUMN pgam.login_bucket.capacity IS 'attempts that it holds';
COMMENT ON COLUMN pgam.login_bucket.drain IS 'attempts that run out of it in a second';
COMMENT ON COLUMN pgam.login_bucket.is_full IS 'the last attempt found no room';

CREATE TABLE pgam.login_origin (
    account_id bigint NOT NULL,
    network text NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE pgam.login_origin IS 'where accounts have logged in from: they go first when many try';
COMMENT ON COLUMN pgam.login_origin.network IS 'a /24 of IPv4, a /48 of IPv6';
COMMENT ON COLUMN pgam.login_origin.last_at IS 'to a day';

ALTER TABLE pgam.server ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgam.server_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pgam.session (
    token_hash bytea NOT NULL,
    account_id bigint NOT NULL,
    token_epoch bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT session_token_hash_check CHECK ((length(token_hash) = 32))
);

COMMENT ON TABLE pgam.session IS 'browsers that are logged in; the API reads a row again after three seconds';
COMMENT ON COLUMN pgam.session.token_hash IS 'SHA-256 of the token in the cookie, which is kept nowhere';
COMMENT ON COLUMN pgam.session.token_epoch IS 'that of the account at the login; another one ends the session';
COMMENT ON COLUMN pgam.session.used_at IS 'of the last request, to a minute';
COMMENT ON COLUMN pgam.session.expires_at IS 'when it ends however much it is used';

CREATE TABLE pgam.setting (
    name text NOT NULL,
    value text,
    environment text,
    revision bigint DEFAULT nextval('pgam.revision'::regclass) NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_by text DEFAULT ''::text NOT NULL
);

COMMENT ON TABLE pgam.setting IS 'settings of the collector that can be changed while it runs';
COMMENT ON COLUMN pgam.setting.value IS 'as in the environment: 30d, true, 40; comes before that one; null: not changed';
COMMENT ON COLUMN pgam.setting.environment IS 'what the collector was last started with; null: never started';
COMMENT ON COLUMN pgam.setting.revision IS 'grows with every change, in one sequence with those of servers';
COMMENT ON COLUMN pgam.setting.updated_by IS 'who changed it: a login, or cli';

CREATE TABLE pgam.ssh_key (
    id bigint NOT NULL,
    name text NOT NULL,
    key_type text NOT NULL,
    bits integer NOT NULL,
    public_key text NOT NULL,
    fingerprint text NOT NULL,
    private_sealed bytea NOT NULL,
    passphrase_sealed bytea,
    description text DEFAULT ''::text NOT NULL,
    created_by text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE pgam.ssh_key IS 'managed SSH keys; the private part is sealed';
COMMENT ON COLUMN pgam.ssh_key.key_type IS 'algorithm as SSH names it: ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 …';
COMMENT ON COLUMN pgam.ssh_key.public_key IS 'the line for authorized_keys';
COMMENT ON COLUMN pgam.ssh_key.fingerprint IS 'SHA256:… of the public key';
COMMENT ON COLUMN pgam.ssh_key.private_sealed IS 'AEAD ciphertext of the private key in PEM, bound to id';
COMMENT ON COLUMN pgam.ssh_key.passphrase_sealed IS 'AEAD ciphertext of the passphrase, bound to id; null: the private key has none';
COMMENT ON COLUMN pgam.ssh_key.created_by IS 'login of the account that made or imported it';

ALTER TABLE pgam.ssh_key ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pgam.ssh_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.pgam_schema_version (
    version integer NOT NULL
);

CREATE VIEW report.activity_bucket AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    r.step_seconds,
    report.dimension(r.dimension) AS dimension,
    r.ticks,
    r.samples
   FROM (history.activity_rollup r
     JOIN pgam.server s ON ((s.id = r.server_id)));

COMMENT ON VIEW report.activity_bucket IS 'one row a bucket of report.activity_rollup, also of one in which nobody was active: divide samples by ticks for average sessions; choose one step_seconds and dimension, and give time a range';
COMMENT ON COLUMN report.activity_bucket.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity_bucket.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.activity_bucket."time" IS 'start of the bucket, UTC';
COMMENT ON COLUMN report.activity_bucket.step_seconds IS 'width of the bucket in seconds';
COMMENT ON COLUMN report.activity_bucket.dimension IS 'what is counted by: wait, query, database, user, application, client or backend_type';
COMMENT ON COLUMN report.activity_bucket.ticks IS 'answered ticks of the bucket';
COMMENT ON COLUMN report.activity_bucket.samples IS 'session samples';

CREATE VIEW report.activity_minute AS
 SELECT m.server_id,
    s.name AS server,
    m."time",
    (((m.ticks_ok + m.ticks_degraded) + m.ticks_failed) + m.ticks_skipped) AS ticks_planned,
    m.ticks_ok,
    m.ticks_degraded,
    m.ticks_failed,
    m.ticks_skipped,
    ((m.samples)::double precision / (NULLIF((m.ticks_ok + m.ticks_degraded), 0))::double precision) AS average_active_sessions,
    m.max_sessions,
    m.max_backends,
    m.cpu,
    m.lock,
    m.lwlock,
    m.io,
    m.ipc,
    m.client,
    m.timeout,
    m.buffer,
    m.extension,
    m.other,
    m.idle_in_transaction,
    m.samples
   FROM (( SELECT c.server_id,
            c.minute AS "time",
            (c.ticks_ok)::bigint AS ticks_ok,
            (c.ticks_degraded)::bigint AS ticks_degraded,
            (c.ticks_failed)::bigint AS ticks_failed,
            (c.ticks_skipped)::bigint AS ticks_skipped,
            c.samples,
            c.max_sessions,
            c.max_backends,
            c.cpu,
            c.lock,
            c.lwlock,
            c.io,
            c.ipc,
            c.client,
            c.timeout,
            c.buffer,
            c.extension,
            c.other,
            c.idle_in_transaction
           FROM history.activity_minute c
        UNION ALL
         SELECT r.server_id,
            date_bin('00:01:00'::interval, r.slot, '1970-01-01 00:00:00+00'::timestamp with time zone) AS date_bin,
            sum(r.ticks_ok) AS sum,
            sum(r.ticks_degraded) AS sum,
            sum(r.ticks_failed) AS sum,
            sum(r.ticks_skipped) AS sum,
            (sum(r.samples))::bigint AS sum,
            max(r.max_sessions) AS max,
            max(r.max_backends) AS max,
            (sum(r.cpu))::bigint AS sum,
            (sum(r.lock))::bigint AS sum,
            (sum(r.lwlock))::bigint AS sum,
            (sum(r.io))::bigint AS sum,
            (sum(r.ipc))::bigint AS sum,
            (sum(r.client))::bigint AS sum,
            (sum(r.timeout))::bigint AS sum,
            (sum(r.buffer))::bigint AS sum,
            (sum(r.extension))::bigint AS sum,
            (sum(r.other))::bigint AS sum,
            (sum(r.idle_in_transaction))::bigint AS sum
           FROM history.activity_tail r
          GROUP BY r.server_id, (date_bin('00:01:00'::interval, r.slot, '1970-01-01 00:00:00+00'::timestamp with time zone))) m
     JOIN pgam.server s ON ((s.id = m.server_id)));

COMMENT ON VIEW report.activity_minute IS 'samples by wait class and minute, with coverage';
COMMENT ON COLUMN report.activity_minute.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity_minute.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.activity_minute."time" IS 'start of the minute, UTC';
COMMENT ON COLUMN report.activity_minute.ticks_planned IS 'ticks planned';
COMMENT ON COLUMN report.activity_minute.ticks_ok IS 'ticks answered in full';
COMMENT ON COLUMN report.activity_minute.ticks_degraded IS 'ticks answered in part';
COMMENT ON COLUMN report.activity_minute.ticks_failed IS 'ticks not answered';
COMMENT ON COLUMN report.activity_minute.ticks_skipped IS 'ticks at which the server was not asked';
COMMENT ON COLUMN report.activity_minute.average_active_sessions IS 'mean number of sessions that were not idle; null: no tick was answered';
COMMENT ON COLUMN report.activity_minute.max_sessions IS 'most sessions in one tick; null: not known';
COMMENT ON COLUMN report.activity_minute.max_backends IS 'most connections in one tick, idle ones too; null: never known';
COMMENT ON COLUMN report.activity_minute.cpu IS 'session samples that waited for nothing';
COMMENT ON COLUMN report.activity_minute.lock IS 'session samples that waited for a lock';
COMMENT ON COLUMN report.activity_minute.lwlock IS 'session samples that waited for a lightweight lock';
COMMENT ON COLUMN report.activity_minute.io IS 'session samples that waited for files';
COMMENT ON COLUMN report.activity_minute.ipc IS 'session samples that waited for another process';
COMMENT ON COLUMN report.activity_minute.client IS 'session samples that waited for the client';
COMMENT ON COLUMN report.activity_minute.timeout IS 'session samples that waited for a time to pass';
COMMENT ON COLUMN report.activity_minute.buffer IS 'session samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';
COMMENT ON COLUMN report.activity_minute.extension IS 'session samples that waited in an extension';
COMMENT ON COLUMN report.activity_minute.other IS 'session samples that waited for something else';
COMMENT ON COLUMN report.activity_minute.idle_in_transaction IS 'session samples that were idle in a transaction, whatever they waited for; in no other class';
COMMENT ON COLUMN report.activity_minute.samples IS 'session samples';

CREATE VIEW report.activity_rollup AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    r.step_seconds,
    report.dimension(r.dimension) AS dimension,
        CASE r.dimension
            WHEN 1 THEN ( SELECT ((x.state || ' '::text) || concat_ws(':'::text, NULLIF(x.wait_event_type, ''::text), NULLIF(x.wait_event, ''::text)))
               FROM history.wait x
              WHERE ((x.server_id = r.server_id) AND (x.key = k.key)))
            WHEN 2 THEN ( SELECT COALESCE(q.text, (q.query_id)::text) AS "coalesce"
               FROM history.query q
              WHERE ((q.server_id = r.server_id) AND (q.key = k.key)))
            ELSE ( SELECT l.text
               FROM history.label l
              WHERE ((l.server_id = r.server_id) AND (l.key = k.key)))
        END AS key,
        CASE
            WHEN (r.dimension = 2) THEN ( SELECT q.query_id
               FROM history.query q
              WHERE ((q.server_id = r.server_id) AND (q.key = k.key)))
            ELSE NULL::bigint
        END AS query_id,
    (k.key IS NULL) AS is_rest,
    k.samples,
    ((k.samples)::double precision / (NULLIF(r.ticks, 0))::double precision) AS average_sessions,
    k.peak AS max_sessions
   FROM ((history.activity_rollup r
     CROSS JOIN LATERAL UNNEST(array_append(r.keys, NULL::bigint), array_append(r.key_samples, r.tail_samples), r.key_peaks) k(key, samples, peak))
     JOIN pgam.server s ON ((s.id = r.server_id)))
  WHERE (k.samples > 0);

COMMENT ON VIEW report.activity_rollup IS 'sessions by wait, query, database, user, application, client and backend type, of ten minutes (step_seconds 600), an hour (3600) or a day (86400); the newest quarter of an hour comes when it is compacted. Choose one step_seconds and dimension, and give time a range';
COMMENT ON COLUMN report.activity_rollup.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity_rollup.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.activity_rollup."time" IS 'start of the bucket, UTC';
COMMENT ON COLUMN report.activity_rollup.step_seconds IS 'width of the bucket in seconds';
COMMENT ON COLUMN report.activity_rollup.dimension IS 'what is counted by: wait, query, database, user, application, client or backend_type';
COMMENT ON COLUMN report.activity_rollup.key IS 'value of the dimension; null: none, or the rest';
COMMENT ON COLUMN report.activity_rollup.query_id IS 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement';
COMMENT ON COLUMN report.activity_rollup.is_rest IS 'true: the sum of all that is not listed, because it was too much';
COMMENT ON COLUMN report.activity_rollup.samples IS 'session samples';
COMMENT ON COLUMN report.activity_rollup.average_sessions IS 'mean number of sessions; null: no tick was answered';
COMMENT ON COLUMN report.activity_rollup.max_sessions IS 'most sessions in one tick; null: not known';

CREATE VIEW report.activity_total AS
 SELECT t.server_id,
    s.name AS server,
    t."time",
    t.step_seconds,
    (((t.ticks_ok + t.ticks_degraded) + t.ticks_failed) + t.ticks_skipped) AS ticks_planned,
    t.ticks_ok,
    t.ticks_degraded,
    t.ticks_failed,
    t.ticks_skipped,
    ((t.samples)::double precision / (NULLIF((t.ticks_ok + t.ticks_degraded), 0))::double precision) AS average_active_sessions,
    t.max_sessions,
    t.max_backends,
    t.cpu,
    t.lock,
    t.lwlock,
    t.io,
    t.ipc,
    t.client,
    t.timeout,
    t.buffer,
    t.extension,
    t.other,
    t.idle_in_transaction,
    t.samples
   FROM (( WITH tail AS NOT MATERIALIZED (
                 SELECT r.server_id,
                    g.step_seconds,
                    date_bin(((g.step_seconds)::double precision * '00:00:01'::interval), r.slot, '1970-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
                    sum(r.ticks_ok) AS ticks_ok,
                    sum(r.ticks_degraded) AS ticks_degraded,
                    sum(r.ticks_failed) AS ticks_failed,
                    sum(r.ticks_skipped) AS ticks_skipped,
                    (sum(r.samples))::bigint AS samples,
                    max(r.max_sessions) AS max_sessions,
                    max(r.max_backends) AS max_backends,
                    (sum(r.cpu))::bigint AS cpu,
                    (sum(r.lock))::bigint AS lock,
                    (sum(r.lwlock))::bigint AS lwlock,
                    (sum(r.io))::bigint AS io,
                    (sum(r.ipc))::bigint AS ipc,
                    (sum(r.client))::bigint AS client,
                    (sum(r.timeout))::bigint AS timeout,
                    (sum(r.buffer))::bigint AS buffer,
                    (sum(r.extension))::bigint AS extension,
                    (sum(r.other))::bigint AS other,
                    (sum(r.idle_in_transaction))::bigint AS idle_in_transaction
                   FROM (history.activity_tail r
                     CROSS JOIN ( VALUES (3600), (86400)) g(step_seconds))
                  GROUP BY r.server_id, g.step_seconds, (date_bin(((g.step_seconds)::double precision * '00:00:01'::interval), r.slot, '1970-01-01 00:00:00+00'::timestamp with time zone))
                )
         SELECT c.server_id,
            c.step_seconds,
            c.bucket AS "time",
            (c.ticks_ok)::bigint AS ticks_ok,
            (c.ticks_degraded)::bigint AS ticks_degraded,
            (c.ticks_failed)::bigint AS ticks_failed,
            (c.ticks_skipped)::bigint AS ticks_skipped,
            c.samples,
            c.max_sessions,
            c.max_backends,
            c.cpu,
            c.lock,
            c.lwlock,
            c.io,
            c.ipc,
            c.client,
            c.timeout,
            c.buffer,
            c.extension,
            c.other,
            c.idle_in_transaction
           FROM history.activity_total c
          WHERE (NOT (EXISTS ( SELECT
                   FROM tail
                  WHERE ((tail.server_id = c.server_id) AND (tail.step_seconds = c.step_seconds) AND (tail.bucket = c.bucket)))))
        UNION ALL
         SELECT r.server_id,
            r.step_seconds,
            r.bucket,
            (r.ticks_ok + COALESCE(c.ticks_ok, 0)),
            (r.ticks_degraded + COALESCE(c.ticks_degraded, 0)),
            (r.ticks_failed + COALESCE(c.ticks_failed, 0)),
            (r.ticks_skipped + COALESCE(c.ticks_skipped, 0)),
            (r.samples + COALESCE(c.samples, (0)::bigint)),
            GREATEST(r.max_sessions, c.max_sessions) AS "greatest",
            GREATEST(r.max_backends, c.max_backends) AS "greatest",
            (r.cpu + COALESCE(c.cpu, (0)::bigint)),
            (r.lock + COALESCE(c.lock, (0)::bigint)),
            (r.lwlock + COALESCE(c.lwlock, (0)::bigint)),
            (r.io + COALESCE(c.io, (0)::bigint)),
            (r.ipc + COALESCE(c.ipc, (0)::bigint)),
            (r.client + COALESCE(c.client, (0)::bigint)),
            (r.timeout + COALESCE(c.timeout, (0)::bigint)),
            (r.buffer + COALESCE(c.buffer, (0)::bigint)),
            (r.extension + COALESCE(c.extension, (0)::bigint)),
            (r.other + COALESCE(c.other, (0)::bigint)),
            (r.idle_in_transaction + COALESCE(c.idle_in_transaction, (0)::bigint))
           FROM (tail r
             LEFT JOIN history.activity_total c ON (((c.server_id = r.server_id) AND (c.step_seconds = r.step_seconds) AND (c.bucket = r.bucket))))) t
     JOIN pgam.server s ON ((s.id = t.server_id)));

COMMENT ON VIEW report.activity_total IS 'samples by wait class and hour (step_seconds 3600) or day (86400), with coverage; choose one step_seconds';
COMMENT ON COLUMN report.activity_total.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity_total.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.activity_total."time" IS 'start of the bucket, UTC';
COMMENT ON COLUMN report.activity_total.step_seconds IS 'width of the bucket in seconds';
COMMENT ON COLUMN report.activity_total.ticks_planned IS 'ticks planned';
COMMENT ON COLUMN report.activity_total.ticks_ok IS 'ticks answered in full';
COMMENT ON COLUMN report.activity_total.ticks_degraded IS 'ticks answered in part';
COMMENT ON COLUMN report.activity_total.ticks_failed IS 'ticks not answered';
COMMENT ON COLUMN report.activity_total.ticks_skipped IS 'ticks at which the server was not asked';
COMMENT ON COLUMN report.activity_total.average_active_sessions IS 'mean number of sessions that were not idle; null: no tick was answered';
COMMENT ON COLUMN report.activity_total.max_sessions IS 'most sessions in one tick; null: not known';
COMMENT ON COLUMN report.activity_total.max_backends IS 'most connections in one tick, idle ones too; null: never known';
COMMENT ON COLUMN report.activity_total.cpu IS 'session samples that waited for nothing';
COMMENT ON COLUMN report.activity_total.lock IS 'session samples that waited for a lock';
COMMENT ON COLUMN report.activity_total.lwlock IS 'session samples that waited for a lightweight lock';
COMMENT ON COLUMN report.activity_total.io IS 'session samples that waited for files';
COMMENT ON COLUMN report.activity_total.ipc IS 'session samples that waited for another process';
COMMENT ON COLUMN report.activity_total.client IS 'session samples that waited for the client';
COMMENT ON COLUMN report.activity_total.timeout IS 'session samples that waited for a time to pass';
COMMENT ON COLUMN report.activity_total.buffer IS 'session samples that waited for a buffer: for its pin, and from PostgreSQL 19 on for its content, until 18 in lwlock';
COMMENT ON COLUMN report.activity_total.extension IS 'session samples that waited in an extension';
COMMENT ON COLUMN report.activity_total.other IS 'session samples that waited for something else';
COMMENT ON COLUMN report.activity_total.idle_in_transaction IS 'session samples that were idle in a transaction, whatever they waited for; in no other class';
COMMENT ON COLUMN report.activity_total.samples IS 'session samples';

CREATE VIEW report.coverage AS
 SELECT t.server_id,
    t.server,
    t."time",
    t.ticks_planned,
    t.ticks_ok,
    t.ticks_degraded,
    t.ticks_failed,
    t.ticks_skipped
   FROM report.activity_total t
  WHERE (t.step_seconds = 3600);

COMMENT ON VIEW report.coverage IS 'what became of the planned ticks of each hour; an hour in which no collector ran has no row';
COMMENT ON COLUMN report.coverage.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.coverage.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.coverage."time" IS 'start of the hour, UTC';
COMMENT ON COLUMN report.coverage.ticks_planned IS 'ticks planned';
COMMENT ON COLUMN report.coverage.ticks_ok IS 'ticks answered in full';
COMMENT ON COLUMN report.coverage.ticks_degraded IS 'ticks answered in part';
COMMENT ON COLUMN report.coverage.ticks_failed IS 'ticks not answered';
COMMENT ON COLUMN report.coverage.ticks_skipped IS 'ticks at which the server was not asked';

CREATE VIEW report.database AS
 SELECT d.server_id,
    s.name AS server,
    d.oid AS database_oid,
    d.name AS database_name,
    d.is_template,
    d.allow_connect,
    d.encoding,
    d.created_at,
    d.first_seen_at,
    d.last_seen_at,
    d.dropped_at
   FROM (history.database d
     JOIN pgam.server s ON ((s.id = d.server_id)));

COMMENT ON VIEW report.database IS 'inventory of databases, those that are gone too; a rename makes a new row with the same oid';
COMMENT ON COLUMN report.database.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.database.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.database.database_oid IS 'oid of the database; null: none';
COMMENT ON COLUMN report.database.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.database.is_template IS 'true: a template';
COMMENT ON COLUMN report.database.allow_connect IS 'false: nobody may connect';
COMMENT ON COLUMN report.database.encoding IS 'name of the encoding; null: not known';
COMMENT ON COLUMN report.database.created_at IS 'when it was created, UTC, to the interval of the inventory; null: it was there before the first look';
COMMENT ON COLUMN report.database.first_seen_at IS 'when it was first seen, UTC';
COMMENT ON COLUMN report.database.last_seen_at IS 'when it was last seen, UTC';
COMMENT ON COLUMN report.database.dropped_at IS 'when it was seen to be gone, UTC; null: it is there';

CREATE VIEW report.database_rollup AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    r.step_seconds,
    n.name AS database_name,
    (r.backend_seconds / NULLIF(r.seconds, (0)::double precision)) AS connections_average,
    r.backends_min AS connections_min,
    r.backends_max AS connections_max,
    r.backends_last AS connections_last,
    r.size_bytes,
    r.xact_commit,
    r.xact_rollback,
    r.blks_read,
    r.blks_hit,
    r.tup_returned,
    r.tup_fetched,
    r.tup_inserted,
    r.tup_updated,
    r.tup_deleted,
    r.conflicts,
    r.temp_files,
    r.temp_bytes,
    r.deadlocks,
    r.sessions,
    r.blk_read_time_ms,
    r.blk_write_time_ms,
    r.session_time_ms,
    r.active_time_ms,
    r.idle_in_transaction_time_ms,
    r.counted_seconds
   FROM ((history.database_rollup r
     JOIN pgam.server s ON ((s.id = r.server_id)))
     LEFT JOIN history.database_name n ON (((n.server_id = r.server_id) AND (n.oid = r.database_oid) AND (n.first_seen_at < (r.bucket + ((r.step_seconds)::double precision * '00:00:01'::interval))) AND ((n.next_at IS NULL) OR (n.next_at >= (r.bucket + ((r.step_seconds)::double precision * '00:00:01'::interval)))))));

COMMENT ON VIEW report.database_rollup IS 'what each database did by ten minutes (step_seconds 600), hour (3600) or day (86400); the newest quarter of an hour comes when it is compacted. Choose one step_seconds and give time a range';
COMMENT ON COLUMN report.database_rollup.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.database_rollup.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.database_rollup."time" IS 'start of the bucket, UTC';
COMMENT ON COLUMN report.database_rollup.step_seconds IS 'width of the bucket in seconds';
COMMENT ON COLUMN report.database_rollup.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.database_rollup.connections_average IS 'mean number of connections; null: shared objects, or no sample';
COMMENT ON COLUMN report.database_rollup.connections_min IS 'fewest connections in a sample';
COMMENT ON COLUMN report.database_rollup.connections_max IS 'most connections in a sample';
COMMENT ON COLUMN report.database_rollup.connections_last IS 'connections in the newest sample';
COMMENT ON COLUMN report.database_rollup.size_bytes IS 'bytes on disk';
COMMENT ON COLUMN report.database_rollup.xact_commit IS 'transactions committed since the sample, or bucket, before';
COMMENT ON COLUMN report.database_rollup.xact_rollback IS 'transactions rolled back since then';
COMMENT ON COLUMN report.database_rollup.blks_read IS 'blocks read since then';
COMMENT ON COLUMN report.database_rollup.blks_hit IS 'blocks found in shared buffers since then';
COMMENT ON COLUMN report.database_rollup.tup_returned IS 'rows returned since then';
COMMENT ON COLUMN report.database_rollup.tup_fetched IS 'rows fetched since then';
COMMENT ON COLUMN report.database_rollup.tup_inserted IS 'rows inserted since then';
COMMENT ON COLUMN report.database_rollup.tup_updated IS 'rows updated since then';
COMMENT ON COLUMN report.database_rollup.tup_deleted IS 'rows deleted since then';
COMMENT ON COLUMN report.database_rollup.conflicts IS 'statements cancelled by recovery since then';
COMMENT ON COLUMN report.database_rollup.temp_files IS 'temporary files since then';
COMMENT ON COLUMN report.database_rollup.temp_bytes IS 'bytes written to temporary files since then';
COMMENT ON COLUMN report.database_rollup.deadlocks IS 'deadlocks since then';
COMMENT ON COLUMN report.database_rollup.sessions IS 'sessions established since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_rollup.blk_read_time_ms IS 'milliseconds spent reading since then; needs track_io_timing';
COMMENT ON COLUMN report.database_rollup.blk_write_time_ms IS 'milliseconds spent writing since then; needs track_io_timing';
COMMENT ON COLUMN report.database_rollup.session_time_ms IS 'milliseconds of sessions since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_rollup.active_time_ms IS 'milliseconds of active sessions since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_rollup.idle_in_transaction_time_ms IS 'milliseconds idle in transactions since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_rollup.counted_seconds IS 'seconds that the counters are of; divide by it for a rate. null, 0: nothing was counted';

CREATE VIEW report.database_size AS
 SELECT z.server_id,
    s.name AS server,
    z.sampled_at AS "time",
    n.name AS database_name,
    z.size_bytes
   FROM ((history.database_size z
     JOIN pgam.server s ON ((s.id = z.server_id)))
     LEFT JOIN history.database_name n ON (((n.server_id = z.server_id) AND (n.oid = z.database_oid) AND (n.first_seen_at <= z.sampled_at) AND ((n.next_at IS NULL) OR (n.next_at > z.sampled_at)))))
  WHERE (z.size_bytes IS NOT NULL);

COMMENT ON VIEW report.database_size IS 'bytes on disk of each database over time';
COMMENT ON COLUMN report.database_size.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.database_size.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.database_size."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.database_size.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.database_size.size_bytes IS 'bytes on disk';

CREATE VIEW report.database_stat AS
 SELECT d.server_id,
    s.name AS server,
    d.planned_at AS "time",
    n.name AS database_name,
    d.numbackends,
        CASE
            WHEN (b.sampled_at IS NOT NULL) THEN (EXTRACT(epoch FROM (d.sampled_at - GREATEST(b.sampled_at, d.previous_at))))::double precision
            ELSE NULL::double precision
        END AS interval_seconds,
    d.stats_reset,
    (d.xact_commit - b.xact_commit) AS xact_commit,
    (d.xact_rollback - b.xact_rollback) AS xact_rollback,
    (d.blks_read - b.blks_read) AS blks_read,
    (d.blks_hit - b.blks_hit) AS blks_hit,
    (d.tup_returned - b.tup_returned) AS tup_returned,
    (d.tup_fetched - b.tup_fetched) AS tup_fetched,
    (d.tup_inserted - b.tup_inserted) AS tup_inserted,
    (d.tup_updated - b.tup_updated) AS tup_updated,
    (d.tup_deleted - b.tup_deleted) AS tup_deleted,
    (d.conflicts - b.conflicts) AS conflicts,
    (d.temp_files - b.temp_files) AS temp_files,
    (d.temp_bytes - b.temp_bytes) AS temp_bytes,
    (d.deadlocks - b.deadlocks) AS deadlocks,
    (d.checksum_failures - b.checksum_failures) AS checksum_failures,
        CASE
            WHEN (d.blk_read_time_ms < b.blk_read_time_ms) THEN (0)::double precision
            ELSE (d.blk_read_time_ms - b.blk_read_time_ms)
        END AS blk_read_time_ms,
        CASE
            WHEN (d.blk_write_time_ms < b.blk_write_time_ms) THEN (0)::double precision
            ELSE (d.blk_write_time_ms - b.blk_write_time_ms)
        END AS blk_write_time_ms,
        CASE
            WHEN (d.session_time_ms < b.session_time_ms) THEN (0)::double precision
            ELSE (d.session_time_ms - b.session_time_ms)
        END AS session_time_ms,
        CASE
            WHEN (d.active_time_ms < b.active_time_ms) THEN (0)::double precision
            ELSE (d.active_time_ms - b.active_time_ms)
        END AS active_time_ms,
        CASE
            WHEN (d.idle_in_transaction_time_ms < b.idle_in_transaction_time_ms) THEN (0)::double precision
            ELSE (d.idle_in_transaction_time_ms - b.idle_in_transaction_time_ms)
        END AS idle_in_transaction_time_ms,
    (d.sessions - b.sessions) AS sessions,
    (d.sessions_abandoned - b.sessions_abandoned) AS sessions_abandoned,
    (d.sessions_fatal - b.sessions_fatal) AS sessions_fatal,
    (d.sessions_killed - b.sessions_killed) AS sessions_killed,
    (d.parallel_workers_to_launch - b.parallel_workers_to_launch) AS parallel_workers_to_launch,
    (d.parallel_workers_launched - b.parallel_workers_launched) AS parallel_workers_launched,
    (EXTRACT(epoch FROM (d.sampled_at - b.sampled_at)))::double precision AS counted_seconds
   FROM (((history.database_stat d
     JOIN pgam.server s ON ((s.id = d.server_id)))
     LEFT JOIN LATERAL ( SELECT b_1.server_id,
            b_1.database_oid,
            b_1.planned_at,
            b_1.sampled_at,
            b_1.previous_at,
            b_1.instance,
            b_1.numbackends,
            b_1.stats_reset,
            b_1.checksum_last_failure,
            b_1.xact_commit,
            b_1.xact_rollback,
            b_1.blks_read,
            b_1.blks_hit,
            b_1.tup_returned,
            b_1.tup_fetched,
            b_1.tup_inserted,
            b_1.tup_updated,
            b_1.tup_deleted,
            b_1.conflicts,
            b_1.temp_files,
            b_1.temp_bytes,
            b_1.deadlocks,
            b_1.checksum_failures,
            b_1.sessions,
            b_1.sessions_abandoned,
            b_1.sessions_fatal,
            b_1.sessions_killed,
            b_1.parallel_workers_to_launch,
            b_1.parallel_workers_launched,
            b_1.blk_read_time_ms,
            b_1.blk_write_time_ms,
            b_1.session_time_ms,
            b_1.active_time_ms,
            b_1.idle_in_transaction_time_ms
           FROM ( SELECT b_2.server_id,
                    b_2.database_oid,
                    b_2.planned_at,
                    b_2.sampled_at,
                    b_2.previous_at,
                    b_2.instance,
                    b_2.numbackends,
                    b_2.stats_reset,
                    b_2.checksum_last_failure,
                    b_2.xact_commit,
                    b_2.xact_rollback,
                    b_2.blks_read,
                    b_2.blks_hit,
                    b_2.tup_returned,
                    b_2.tup_fetched,
                    b_2.tup_inserted,
                    b_2.tup_updated,
                    b_2.tup_deleted,
                    b_2.conflicts,
                    b_2.temp_files,
                    b_2.temp_bytes,
                    b_2.deadlocks,
                    b_2.checksum_failures,
                    b_2.sessions,
                    b_2.sessions_abandoned,
                    b_2.sessions_fatal,
                    b_2.sessions_killed,
                    b_2.parallel_workers_to_launch,
                    b_2.parallel_workers_launched,
                    b_2.blk_read_time_ms,
                    b_2.blk_write_time_ms,
                    b_2.session_time_ms,
                    b_2.active_time_ms,
                    b_2.idle_in_transaction_time_ms
                   FROM history.database_stat b_2
                  WHERE ((b_2.server_id = d.server_id) AND (b_2.database_oid = d.database_oid) AND (b_2.planned_at < d.planned_at) AND (b_2.planned_at >= (d.planned_at - '24:00:00'::interval)))
                  ORDER BY b_2.planned_at DESC
                 LIMIT 1) b_1
          WHERE ((b_1.instance = d.instance) AND (NOT (b_1.stats_reset IS DISTINCT FROM d.stats_reset)) AND (b_1.sampled_at < d.sampled_at) AND ((0 <= ALL (ARRAY[(d.xact_commit - b_1.xact_commit), (d.xact_rollback - b_1.xact_rollback), (d.blks_read - b_1.blks_read), (d.blks_hit - b_1.blks_hit), (d.tup_returned - b_1.tup_returned), (d.tup_fetched - b_1.tup_fetched), (d.tup_inserted - b_1.tup_inserted), (d.tup_updated - b_1.tup_updated), (d.tup_deleted - b_1.tup_deleted), (d.conflicts - b_1.conflicts), (d.temp_files - b_1.temp_files), (d.temp_bytes - b_1.temp_bytes), (d.deadlocks - b_1.deadlocks), (d.checksum_failures - b_1.checksum_failures), (d.sessions - b_1.sessions), (d.sessions_abandoned - b_1.sessions_abandoned), (d.sessions_fatal - b_1.sessions_fatal), (d.sessions_killed - b_1.sessions_killed), (d.parallel_workers_to_launch - b_1.parallel_workers_to_launch), (d.parallel_workers_launched - b_1.parallel_workers_launched)])) IS NOT FALSE))) b ON (true))
     LEFT JOIN history.database_name n ON (((n.server_id = d.server_id) AND (n.oid = d.database_oid) AND (n.first_seen_at <= d.sampled_at) AND ((n.next_at IS NULL) OR (n.next_at > d.sampled_at)))));

COMMENT ON VIEW report.database_stat IS 'what each database did since the row before; a database without change has a row every five minutes only. Give time a range';
COMMENT ON COLUMN report.database_stat.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.database_stat.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.database_stat."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.database_stat.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.database_stat.numbackends IS 'connections at this instant; null: shared objects';
COMMENT ON COLUMN report.database_stat.interval_seconds IS 'seconds at the end of counted_seconds in which all of it was added; null: the counters began anew';
COMMENT ON COLUMN report.database_stat.stats_reset IS 'when the statistics were last reset, UTC; null: never';
COMMENT ON COLUMN report.database_stat.xact_commit IS 'transactions committed since the sample, or bucket, before';
COMMENT ON COLUMN report.database_stat.xact_rollback IS 'transactions rolled back since then';
COMMENT ON COLUMN report.database_stat.blks_read IS 'blocks read since then';
COMMENT ON COLUMN report.database_stat.blks_hit IS 'blocks found in shared buffers since then';
COMMENT ON COLUMN report.database_stat.tup_returned IS 'rows returned since then';
COMMENT ON COLUMN report.database_stat.tup_fetched IS 'rows fetched since then';
COMMENT ON COLUMN report.database_stat.tup_inserted IS 'rows inserted since then';
COMMENT ON COLUMN report.database_stat.tup_updated IS 'rows updated since then';
COMMENT ON COLUMN report.database_stat.tup_deleted IS 'rows deleted since then';
COMMENT ON COLUMN report.database_stat.conflicts IS 'statements cancelled by recovery since then';
COMMENT ON COLUMN report.database_stat.temp_files IS 'temporary files since then';
COMMENT ON COLUMN report.database_stat.temp_bytes IS 'bytes written to temporary files since then';
COMMENT ON COLUMN report.database_stat.deadlocks IS 'deadlocks since then';
COMMENT ON COLUMN report.database_stat.checksum_failures IS 'failed checksums since then; null: the server does not count them';
COMMENT ON COLUMN report.database_stat.blk_read_time_ms IS 'milliseconds spent reading since then; needs track_io_timing';
COMMENT ON COLUMN report.database_stat.blk_write_time_ms IS 'milliseconds spent writing since then; needs track_io_timing';
COMMENT ON COLUMN report.database_stat.session_time_ms IS 'milliseconds of sessions since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.active_time_ms IS 'milliseconds of active sessions since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.idle_in_transaction_time_ms IS 'milliseconds idle in transactions since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.sessions IS 'sessions established since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.sessions_abandoned IS 'sessions whose client was lost since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.sessions_fatal IS 'sessions ended by an error since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.sessions_killed IS 'sessions ended by an operator since then (PostgreSQL 14 and later)';
COMMENT ON COLUMN report.database_stat.parallel_workers_to_launch IS 'parallel workers planned since then (PostgreSQL 18 and later)';
COMMENT ON COLUMN report.database_stat.parallel_workers_launched IS 'parallel workers launched since then (PostgreSQL 18 and later)';
COMMENT ON COLUMN report.database_stat.counted_seconds IS 'seconds that the counters are of; divide by it for a rate. null, 0: nothing was counted';

CREATE VIEW report.disk_rollup AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    r.mount_point,
    f.device,
    f.uses,
    r.total_bytes,
    r.free_bytes,
    r.free_bytes_min,
    r.inodes_free
   FROM ((history.disk_rollup r
     JOIN pgam.server s ON ((s.id = r.server_id)))
     LEFT JOIN history.file_system f ON (((f.server_id = r.server_id) AND (f.mount_point = r.mount_point))));

COMMENT ON VIEW report.disk_rollup IS 'how full the file systems of each server were, by hour';
COMMENT ON COLUMN report.disk_rollup.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.disk_rollup.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.disk_rollup."time" IS 'start of the hour, UTC';
COMMENT ON COLUMN report.disk_rollup.mount_point IS 'where the file system is mounted';
COMMENT ON COLUMN report.disk_rollup.device IS 'what is mounted; empty: not known';
COMMENT ON COLUMN report.disk_rollup.uses IS 'what it holds, as last seen: data, wal, tablespace:NAME';
COMMENT ON COLUMN report.disk_rollup.total_bytes IS 'bytes of the file system; null: not known';
COMMENT ON COLUMN report.disk_rollup.free_bytes IS 'bytes that an unprivileged process can use; null: not known';
COMMENT ON COLUMN report.disk_rollup.free_bytes_min IS 'least free_bytes of the hour; null: not known';
COMMENT ON COLUMN report.disk_rollup.inodes_free IS 'inodes that are free; null: not known';

CREATE VIEW report.disk_usage AS
 SELECT d.server_id,
    s.name AS server,
    d.sampled_at AS "time",
    d.mount_point,
    f.device,
    f.uses,
    d.total_bytes,
    d.free_bytes,
    d.inodes_total,
    d.inodes_free
   FROM ((history.disk_usage d
     JOIN pgam.server s ON ((s.id = d.server_id)))
     LEFT JOIN history.file_system f ON (((f.server_id = d.server_id) AND (f.mount_point = d.mount_point))));

COMMENT ON VIEW report.disk_usage IS 'how full the file systems of each server were';
COMMENT ON COLUMN report.disk_usage.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.disk_usage.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.disk_usage."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.disk_usage.mount_point IS 'where the file system is mounted';
COMMENT ON COLUMN report.disk_usage.device IS 'what is mounted; empty: not known';
COMMENT ON COLUMN report.disk_usage.uses IS 'what it holds, as last seen: data, wal, tablespace:NAME';
COMMENT ON COLUMN report.disk_usage.total_bytes IS 'bytes of the file system; null: not known';
COMMENT ON COLUMN report.disk_usage.free_bytes IS 'bytes that an unprivileged process can use; null: not known';
COMMENT ON COLUMN report.disk_usage.inodes_total IS 'inodes of the file system; null: it has no fixed number, or it is not known';
COMMENT ON COLUMN report.disk_usage.inodes_free IS 'inodes that are free; null: not known';

CREATE VIEW report.event AS
 SELECT e.server_id,
    s.name AS server,
    e.at AS "time",
    e.kind,
    e.subject,
    e.old,
    e.new,
    e.detail
   FROM (history.event e
     LEFT JOIN pgam.server s ON ((s.id = e.server_id)));

COMMENT ON VIEW report.event IS 'restarts, promotions, settings, databases that came and went, starts and stops of the collector';
COMMENT ON COLUMN report.event.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.event.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.event."time" IS 'when it happened, or was first seen, UTC';
COMMENT ON COLUMN report.event.kind IS 'restart, crash, promotion, setting, database_dropped …';
COMMENT ON COLUMN report.event.subject IS 'what it is about: name of a setting or database; empty: the server';
COMMENT ON COLUMN report.event.old IS 'value before; null: none';
COMMENT ON COLUMN report.event.new IS 'value after; null: none';
COMMENT ON COLUMN report.event.detail IS 'what else is known; null: nothing';

CREATE VIEW report.fault AS
 SELECT f.server_id,
    s.name AS server,
    f."time",
    report.outcome(f.outcome) AS outcome,
    r.name AS reason,
    f.ticks
   FROM ((( SELECT m.server_id,
            m.minute AS "time",
            u.outcome,
            u.reason,
            (u.ticks)::bigint AS ticks
           FROM (history.activity_minute m
             CROSS JOIN LATERAL UNNEST(m.fault_outcome, m.fault_reason, m.fault_ticks) u(outcome, reason, ticks))
          WHERE (m.fault_outcome IS NOT NULL)
        UNION ALL
         SELECT r_1.server_id,
            date_bin('00:01:00'::interval, r_1.slot, '1970-01-01 00:00:00+00'::timestamp with time zone) AS date_bin,
            u.outcome,
            u.reason,
            sum(u.ticks) AS sum
           FROM (history.activity_tail r_1
             CROSS JOIN LATERAL UNNEST(r_1.fault_outcome, r_1.fault_reason, r_1.fault_ticks) u(outcome, reason, ticks))
          WHERE (r_1.fault_outcome IS NOT NULL)
          GROUP BY r_1.server_id, (date_bin('00:01:00'::interval, r_1.slot, '1970-01-01 00:00:00+00'::timestamp with time zone)), u.outcome, u.reason) f
     JOIN pgam.server s ON ((s.id = f.server_id)))
     LEFT JOIN history.reason r ON ((r.id = f.reason)));

COMMENT ON VIEW report.fault IS 'ticks that were not ok, by minute, outcome and reason';
COMMENT ON COLUMN report.fault.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.fault.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.fault."time" IS 'start of the minute, UTC';
COMMENT ON COLUMN report.fault.outcome IS 'ok, degraded (some was not answered), failed or skipped';
COMMENT ON COLUMN report.fault.reason IS 'why it was not ok; null: it was';
COMMENT ON COLUMN report.fault.ticks IS 'planned ticks';

CREATE VIEW report.horizon AS
 SELECT h.server_id,
    s.name AS server,
    h.sampled_at AS "time",
    h.holder,
    h.name,
    h.xmin_age
   FROM (history.horizon h
     JOIN pgam.server s ON ((s.id = h.server_id)));

COMMENT ON VIEW report.horizon IS 'what beside sessions kept rows from being vacuumed: the oldest of each kind';
COMMENT ON COLUMN report.horizon.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.horizon.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.horizon."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.horizon.holder IS 'prepared_transaction, replication_slot or standby';
COMMENT ON COLUMN report.horizon.name IS 'name of the holder';
COMMENT ON COLUMN report.horizon.xmin_age IS 'transactions since';

CREATE VIEW report.instance AS
 SELECT i.server_id,
    s.name AS server,
    i.since AS "time",
    i.version_num,
    i.version,
    i.postmaster_start,
    i.in_recovery
   FROM (history.server_identity i
     JOIN pgam.server s ON ((s.id = i.server_id)));

COMMENT ON VIEW report.instance IS 'which instance answered, from when on; the newest row of a server is what it is now';
COMMENT ON COLUMN report.instance.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.instance.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.instance."time" IS 'from when on, UTC';
COMMENT ON COLUMN report.instance.version_num IS 'server_version_num';
COMMENT ON COLUMN report.instance.version IS 'server_version';
COMMENT ON COLUMN report.instance.postmaster_start IS 'when it was started, UTC';
COMMENT ON COLUMN report.instance.in_recovery IS 'true: a standby';

CREATE VIEW report.server AS
 SELECT s.id AS server_id,
    s.name AS server,
    s.host,
    s.port,
    s.enabled,
    s.created_at
   FROM pgam.server s
  WHERE (s.deleted_at IS NULL);

COMMENT ON VIEW report.server IS 'watched servers, without anything secret';
COMMENT ON COLUMN report.server.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.server.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.server.host IS 'name, address, or folder of a Unix socket';
COMMENT ON COLUMN report.server.port IS 'TCP port';
COMMENT ON COLUMN report.server.enabled IS 'false: collection is paused';
COMMENT ON COLUMN report.server.created_at IS 'when it was added, UTC';

CREATE VIEW report.setting AS
 SELECT n.server_id,
    s.name AS server,
    n.name,
    n.value,
    n.since AS "time"
   FROM (history.setting n
     JOIN pgam.server s ON ((s.id = n.server_id)));

COMMENT ON VIEW report.setting IS 'pg_settings of each server as last seen';
COMMENT ON COLUMN report.setting.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.setting.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.setting.name IS 'name of the setting';
COMMENT ON COLUMN report.setting.value IS 'value in the unit of pg_settings, or a fingerprint of one that may hold a secret';
COMMENT ON COLUMN report.setting."time" IS 'since when it is known to be so, UTC';

CREATE VIEW report.storage AS
 SELECT
        CASE
            WHEN (b.lower ~ ':'::text) THEN (b.lower)::timestamp with time zone
            ELSE ((b.lower)::timestamp without time zone AT TIME ZONE 'UTC'::text)
        END AS "time",
    (t.relname)::text AS table_name,
    (c.relname)::text AS partition_name,
    pg_total_relation_size((c.oid)::regclass) AS size_bytes,
    (c.reltuples)::bigint AS estimated_rows
   FROM (((pg_class t
     JOIN pg_inherits i ON ((i.inhparent = t.oid)))
     JOIN pg_class c ON ((c.oid = i.inhrelid)))
     CROSS JOIN LATERAL ( SELECT "substring"(pg_get_expr(c.relpartbound, c.oid), '''([^'']+)''\) TO'::text) AS lower) b)
  WHERE ((t.relnamespace = ('history'::regnamespace)::oid) AND (t.relkind = 'p'::"char"));

COMMENT ON VIEW report.storage IS 'partitions of history with their sizes; each query measures them all';
COMMENT ON COLUMN report.storage."time" IS 'day with which the partition begins';
COMMENT ON COLUMN report.storage.table_name IS 'partitioned table in the schema history';
COMMENT ON COLUMN report.storage.partition_name IS 'the partition';
COMMENT ON COLUMN report.storage.size_bytes IS 'bytes on disk, with indexes and TOAST';
COMMENT ON COLUMN report.storage.estimated_rows IS 'rows as of its last vacuum or analyze; -1: none yet';

CREATE VIEW report.tick AS
 SELECT w.server_id,
    s.name AS server,
    w.bucket AS t0,
    (w.bucket + ((k.planned_ms)::double precision * '00:00:00.001'::interval)) AS "time",
    report.outcome(k.outcome) AS outcome,
    NULLIF(r.name, ''::text) AS reason,
    ((k.duration_us)::numeric / 1000.0) AS duration_ms,
    k.backends,
    COALESCE(k.burst, false) AS burst,
    k.delay_ms
   FROM (((history.activity_row w
     JOIN pgam.server s ON ((s.id = w.server_id)))
     CROSS JOIN LATERAL UNNEST(w.tick_planned_ms, w.tick_delay_ms, w.tick_outcome, w.tick_reason, w.tick_duration_us, w.tick_backends, w.tick_burst) k(planned_ms, delay_ms, outcome, reason, duration_us, backends, burst))
     LEFT JOIN history.reason r ON ((r.id = COALESCE((k.reason)::integer, 0))));

COMMENT ON VIEW report.tick IS 'the ledger: every planned tick with its outcome; filter on t0, by which the data is partitioned (ticks lie within ten minutes after it)';
COMMENT ON COLUMN report.tick.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.tick.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.tick.t0 IS 'start of the ten minutes that hold the sample, UTC; filter on it';
COMMENT ON COLUMN report.tick."time" IS 'instant that the sample was planned for, UTC';
COMMENT ON COLUMN report.tick.outcome IS 'ok, degraded (some was not answered), failed or skipped';
COMMENT ON COLUMN report.tick.reason IS 'why it was not ok; null: it was';
COMMENT ON COLUMN report.tick.duration_ms IS 'milliseconds the visit took';
COMMENT ON COLUMN report.tick.backends IS 'connections to a database, idle ones too; null: not answered';
COMMENT ON COLUMN report.tick.burst IS 'true: the tick was taken in full detail, because the server was busy';
COMMENT ON COLUMN report.tick.delay_ms IS 'milliseconds from time to when the tick was begun';

ALTER TABLE ONLY history.activity_minute
    ADD CONSTRAINT activity_minute_pkey PRIMARY KEY (server_id, minute);

ALTER TABLE ONLY history.activity
    ADD CONSTRAINT activity_pkey PRIMARY KEY (server_id, bucket, part);

ALTER TABLE ONLY history.activity_recent
    ADD CONSTRAINT activity_recent_pkey PRIMARY KEY (server_id, slot);

ALTER TABLE ONLY history.activity_rollup
    ADD CONSTRAINT activity_rollup_pkey PRIMARY KEY (server_id, step_seconds, dimension, bucket);

ALTER TABLE ONLY history.activity_total
    ADD CONSTRAINT activity_total_pkey PRIMARY KEY (server_id, step_seconds, bucket);

ALTER TABLE ONLY history.cpu_count
    ADD CONSTRAINT cpu_count_pkey PRIMARY KEY (server_id, since);

ALTER TABLE ONLY history.database_look
    ADD CONSTRAINT database_look_pkey PRIMARY KEY (server_id, planned_at);

ALTER TABLE ONLY history.database
    ADD CONSTRAINT database_pkey PRIMARY KEY (server_id, oid, name);

ALTER TABLE ONLY history.database_rollup
    ADD CONSTRAINT database_rollup_pkey PRIMARY KEY (server_id, step_seconds, database_oid, bucket);

ALTER TABLE ONLY history.database_size
    ADD CONSTRAINT database_size_pkey PRIMARY KEY (server_id, sampled_at, database_oid);

ALTER TABLE ONLY history.database_stat
    ADD CONSTRAINT database_stat_pkey PRIMARY KEY (server_id, database_oid, planned_at);

ALTER TABLE ONLY history.disk_rollup
    ADD CONSTRAINT disk_rollup_pkey PRIMARY KEY (server_id, mount_point, bucket);

ALTER TABLE ONLY history.disk_usage
    ADD CONSTRAINT disk_usage_pkey PRIMARY KEY (server_id, sampled_at, mount_point);

ALTER TABLE ONLY history.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (server_id, at, kind, subject);

ALTER TABLE ONLY history.file_system
    ADD CONSTRAINT file_system_pkey PRIMARY KEY (server_id, mount_point);

ALTER TABLE ONLY history.horizon
    ADD CONSTRAINT horizon_pkey PRIMARY KEY (server_id, sampled_at, holder, name);

ALTER TABLE ONLY history.label
    ADD CONSTRAINT label_pkey PRIMARY KEY (server_id, key);

ALTER TABLE ONLY history.lock
    ADD CONSTRAINT lock_pkey PRIMARY KEY (server_id, key);

ALTER TABLE ONLY history.progress
    ADD CONSTRAINT progress_pkey PRIMARY KEY (server_id);

ALTER TABLE ONLY history.query
    ADD CONSTRAINT query_pkey PRIMARY KEY (server_id, key);

ALTER TABLE ONLY history.reason
    ADD CONSTRAINT reason_pkey PRIMARY KEY (id);

ALTER TABLE ONLY history.server_identity
    ADD CONSTRAINT server_identity_pkey PRIMARY KEY (server_id, since);

ALTER TABLE ONLY history.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (server_id, day, key);

ALTER TABLE ONLY history.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (server_id, name);

ALTER TABLE ONLY history.wait
    ADD CONSTRAINT wait_pkey PRIMARY KEY (server_id, key);

ALTER TABLE ONLY pgam.account
    ADD CONSTRAINT account_login_key UNIQUE (login);

ALTER TABLE ONLY pgam.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgam.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgam.ended_session
    ADD CONSTRAINT ended_session_pkey PRIMARY KEY (account_id, session);

ALTER TABLE ONLY pgam.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (one);

ALTER TABLE ONLY pgam.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (one);

ALTER TABLE ONLY pgam.login_bucket
    ADD CONSTRAINT login_bucket_pkey PRIMARY KEY (key);

ALTER TABLE ONLY pgam.login_origin
    ADD CONSTRAINT login_origin_pkey PRIMARY KEY (account_id, network);

ALTER TABLE ONLY pgam.server
    ADD CONSTRAINT server_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgam.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY pgam.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgam.ssh_key
    ADD CONSTRAINT ssh_key_fingerprint_key UNIQUE (fingerprint);

ALTER TABLE ONLY pgam.ssh_key
    ADD CONSTRAINT ssh_key_name_key UNIQUE (name);

ALTER TABLE ONLY pgam.ssh_key
    ADD CONSTRAINT ssh_key_pkey PRIMARY KEY (id);

CREATE INDEX database_rollup_server_bucket_idx ON ONLY history.database_rollup USING btree (server_id, step_seconds, bucket);

CREATE INDEX database_stat_server_planned_idx ON ONLY history.database_stat USING btree (server_id, planned_at);

CREATE INDEX audit_at_idx ON pgam.audit USING btree (at);

CREATE INDEX login_bucket_filled_idx ON pgam.login_bucket USING btree (filled_at);

CREATE INDEX login_origin_network_idx ON pgam.login_origin USING btree (network);

CREATE UNIQUE INDEX server_name_key ON pgam.server USING btree (name) WHERE (deleted_at IS NULL);

CREATE INDEX server_revision_idx ON pgam.server USING btree (revision);

CREATE INDEX server_ssh_key_idx ON pgam.server USING btree (ssh_key_id) WHERE (ssh_key_id IS NOT NULL);

CREATE INDEX session_account_idx ON pgam.session USING btree (account_id, created_at);

CREATE INDEX session_expires_idx ON pgam.session USING btree (expires_at);

CREATE TRIGGER renew_token_epoch BEFORE UPDATE ON pgam.account FOR EACH ROW WHEN ((((old.password_hash IS DISTINCT FROM new.password_hash) OR (old.role IS DISTINCT FROM new.role)) OR (old.active IS DISTINCT FROM new.active))) EXECUTE FUNCTION pgam.renew_token_epoch();

ALTER TABLE ONLY pgam.ended_session
    ADD CONSTRAINT ended_session_account_id_fkey FOREIGN KEY (account_id) REFERENCES pgam.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY pgam.login_origin
    ADD CONSTRAINT login_origin_account_id_fkey FOREIGN KEY (account_id) REFERENCES pgam.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY pgam.server
    ADD CONSTRAINT server_ssh_key_id_fkey FOREIGN KEY (ssh_key_id) REFERENCES pgam.ssh_key(id);

ALTER TABLE ONLY pgam.session
    ADD CONSTRAINT session_account_id_fkey FOREIGN KEY (account_id) REFERENCES pgam.account(id) ON DELETE CASCADE;

GRANT USAGE ON SCHEMA report TO pgam_read;

GRANT SELECT ON TABLE report.query TO pgam_read;

GRANT SELECT ON TABLE report.session TO pgam_read;

GRANT SELECT ON TABLE report.wait TO pgam_read;

GRANT SELECT ON TABLE report.activity TO pgam_read;

GRANT SELECT ON TABLE report.lock TO pgam_read;

GRANT SELECT ON TABLE report.blocking TO pgam_read;

GRANT SELECT ON TABLE report.activity_bucket TO pgam_read;

GRANT SELECT ON TABLE report.activity_minute TO pgam_read;

GRANT SELECT ON TABLE report.activity_rollup TO pgam_read;

GRANT SELECT ON TABLE report.activity_total TO pgam_read;

GRANT SELECT ON TABLE report.coverage TO pgam_read;

GRANT SELECT ON TABLE report.database TO pgam_read;

GRANT SELECT ON TABLE report.database_rollup TO pgam_read;

GRANT SELECT ON TABLE report.database_size TO pgam_read;

GRANT SELECT ON TABLE report.database_stat TO pgam_read;

GRANT SELECT ON TABLE report.disk_rollup TO pgam_read;

GRANT SELECT ON TABLE report.disk_usage TO pgam_read;

GRANT SELECT ON TABLE report.event TO pgam_read;

GRANT SELECT ON TABLE report.fault TO pgam_read;

GRANT SELECT ON TABLE report.horizon TO pgam_read;

GRANT SELECT ON TABLE report.instance TO pgam_read;

GRANT SELECT ON TABLE report.server TO pgam_read;

GRANT SELECT ON TABLE report.setting TO pgam_read;

GRANT SELECT ON TABLE report.storage TO pgam_read;

GRANT SELECT ON TABLE report.tick TO pgam_read;
