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

CREATE TABLE history.activity_window (
    server_id bigint NOT NULL,
    t0 timestamp with time zone NOT NULL,
    span_ms integer NOT NULL,
    cadence_ms integer NOT NULL,
    samples integer NOT NULL,
    xid_base bigint,
    tick_offset_ms integer[] NOT NULL,
    tick_outcome smallint[],
    tick_reason smallint[],
    tick_duration_us integer[] NOT NULL,
    tick_backends integer[] NOT NULL,
    sample_tick smallint[] NOT NULL,
    sample_session integer[] NOT NULL,
    sample_wait smallint[] NOT NULL,
    sample_query integer[] NOT NULL,
    sample_query_start_ms integer[] NOT NULL,
    sample_xact_lead_ms integer[] NOT NULL,
    sample_state_lag_ms integer[],
    sample_xmin_age integer[],
    sample_blocker integer[],
    edge_tick smallint[],
    edge_blocked integer[],
    edge_blocker integer[],
    edge_lock integer[],
    tick_burst boolean[]
)
PARTITION BY RANGE (t0);

COMMENT ON TABLE history.activity_window IS 'one row a server and window: the ledger of planned ticks and every session seen, as parallel arrays of dictionary ids; read report.activity for text';
COMMENT ON COLUMN history.activity_window.t0 IS 'start of the window, UTC, a multiple of its span';
COMMENT ON COLUMN history.activity_window.span_ms IS 'length of the window in milliseconds';
COMMENT ON COLUMN history.activity_window.cadence_ms IS 'milliseconds between planned ticks';
COMMENT ON COLUMN history.activity_window.samples IS 'session samples in the row, with those that are no load';
COMMENT ON COLUMN history.activity_window.xid_base IS 'the server''s next transaction id at the first answered tick; null if unknown';
COMMENT ON COLUMN history.activity_window.tick_offset_ms IS 'one element a planned tick: milliseconds from t0 to its start';
COMMENT ON COLUMN history.activity_window.tick_outcome IS '0 ok, 1 degraded, 2 failed, 3 skipped; null: every tick was ok';
COMMENT ON COLUMN history.activity_window.tick_reason IS 'reason of an outcome other than ok, see history.reason; null: every tick was ok';
COMMENT ON COLUMN history.activity_window.tick_duration_us IS 'microseconds the visit took';
COMMENT ON COLUMN history.activity_window.tick_backends IS 'connections of what max_connections allows, idle ones too: client backends, before PostgreSQL 12 walsenders too; null elements where not answered';
COMMENT ON COLUMN history.activity_window.sample_tick IS '1-based index into the tick arrays';
COMMENT ON COLUMN history.activity_window.sample_session IS 'history.session.id of the same server and UTC day';
COMMENT ON COLUMN history.activity_window.sample_wait IS 'history.wait.id of the same server; negative: no load';
COMMENT ON COLUMN history.activity_window.sample_query IS 'history.query.id of the same server; null: no statement';
COMMENT ON COLUMN history.activity_window.sample_query_start_ms IS 'milliseconds from t0 to query_start, clamped to four bytes; null: unknown';
COMMENT ON COLUMN history.activity_window.sample_xact_lead_ms IS 'query_start minus xact_start in milliseconds; null: in no transaction that others may have to wait for, as VACUUM and walsenders';
COMMENT ON COLUMN history.activity_window.sample_state_lag_ms IS 'state_change minus query_start in milliseconds; null: the same';
COMMENT ON COLUMN history.activity_window.sample_xmin_age IS 'xid_base minus backend_xmin; null: none, or younger than the tick before';
COMMENT ON COLUMN history.activity_window.sample_blocker IS 'history.session.id of the first backend that blocks this one; 0: blocked by one that is not a session; null: not blocked';
COMMENT ON COLUMN history.activity_window.edge_tick IS 'who waits for whom, one element an edge: 1-based index into the tick arrays; null: nobody waited for a lock';
COMMENT ON COLUMN history.activity_window.edge_blocked IS 'history.session.id of the session that waits';
COMMENT ON COLUMN history.activity_window.edge_blocker IS 'history.session.id of one that it waits for; a prepared transaction is a session with pid 0; 0: not known';
COMMENT ON COLUMN history.activity_window.edge_lock IS 'history.lock.id of what is waited for; 0: not known';
COMMENT ON COLUMN history.activity_window.tick_burst IS 'one element a planned tick: it was taken in full detail; null: none was';

CREATE TABLE history.query (
    server_id bigint NOT NULL,
    id integer NOT NULL,
    query_id bigint NOT NULL,
    own boolean NOT NULL,
    text text,
    first_seen_on date NOT NULL,
    last_seen_on date NOT NULL,
    text_full boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE history.query IS 'statements; expires when no kept window can hold it';
COMMENT ON COLUMN history.query.query_id IS 'PostgreSQL''s query_id, or pgam''s fingerprint where own is true';
COMMENT ON COLUMN history.query.own IS 'true: the server gave no query_id and pgam computed a fingerprint of the text';
COMMENT ON COLUMN history.query.text IS 'as query_texts of the server says, normalized by default: literals taken out; cut at 4096 bytes unless seen in a burst; null until it was seen, and where none is kept';
COMMENT ON COLUMN history.query.text_full IS 'true: text is as the server showed it, with its literals';

CREATE TABLE history.session (
    server_id bigint NOT NULL,
    day date NOT NULL,
    id integer NOT NULL,
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

COMMENT ON TABLE history.session IS 'sessions seen on a UTC day; one that lives over midnight is written again, so a day''s windows and sessions go together';
COMMENT ON COLUMN history.session.client_addr IS 'client address as text; null for a Unix socket or a background process';
COMMENT ON COLUMN history.session.leader_pid IS 'leader of a parallel worker (PostgreSQL 13 and later)';

CREATE TABLE history.wait (
    server_id bigint NOT NULL,
    id smallint NOT NULL,
    state text NOT NULL,
    wait_event_type text NOT NULL,
    wait_event text NOT NULL
);

COMMENT ON TABLE history.wait IS 'what a session was doing: state and wait; wait_event_type CPU where PostgreSQL reports no wait';
COMMENT ON COLUMN history.wait.id IS 'negative: no load, for it waits for work or sleeps because a throttle says so; such samples are in no sum';
COMMENT ON COLUMN history.wait.wait_event_type IS 'CPU where PostgreSQL reports no wait, empty where it does not tell';

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
    CONSTRAINT server_activity_interval_seconds_check CHECK ((activity_interval_seconds > 0)),
    CONSTRAINT server_burst_active_check CHECK ((burst_active >= 0)),
    CONSTRAINT server_burst_connections_percent_check CHECK (((burst_connections_percent >= 0) AND (burst_connections_percent <= 100))),
    CONSTRAINT server_burst_lock_waits_check CHECK ((burst_lock_waits >= 0)),
    CONSTRAINT server_databases_interval_seconds_check CHECK ((databases_interval_seconds > 0)),
    CONSTRAINT server_disk_source_check CHECK ((disk_source = ANY (ARRAY[''::text, 'none'::text, 'ssh'::text, 'local'::text]))),
    CONSTRAINT server_disks_interval_seconds_check CHECK ((disks_interval_seconds > 0)),
    CONSTRAINT server_inventory_interval_seconds_check CHECK ((inventory_interval_seconds > 0)),
    CONSTRAINT server_port_check CHECK (((port >= 1) AND (port <= 65535))),
    CONSTRAINT server_query_texts_check CHECK ((query_texts = ANY (ARRAY['normalized'::text, 'full'::text, 'none'::text]))),
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

CREATE VIEW report.activity AS
 SELECT w.server_id,
    s.name AS server,
    w.t0,
    (w.t0 + ((w.tick_offset_ms[u.tick])::double precision * '00:00:00.001'::interval)) AS "time",
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
    q.text AS query,
    (w.t0 + ((u.query_start_ms)::double precision * '00:00:00.001'::interval)) AS query_start,
    (w.t0 + ((((u.query_start_ms)::bigint - u.xact_lead_ms))::double precision * '00:00:00.001'::interval)) AS xact_start,
    (w.t0 + ((((u.query_start_ms)::bigint + COALESCE(u.state_lag_ms, 0)))::double precision * '00:00:00.001'::interval)) AS state_change,
    u.xmin_age,
    b.pid AS blocked_by_pid,
    (u.blocker IS NOT NULL) AS blocked,
    COALESCE(w.tick_burst[u.tick], false) AS burst,
    (u.wait > 0) AS load
   FROM ((((((history.activity_window w
     CROSS JOIN LATERAL UNNEST(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms, w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker) u(tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin_age, blocker))
     JOIN pgam.server s ON ((s.id = w.server_id)))
     JOIN history.wait x ON (((x.server_id = w.server_id) AND (x.id = u.wait))))
     LEFT JOIN history.session d ON (((d.server_id = w.server_id) AND (d.day = ((w.t0 AT TIME ZONE 'UTC'::text))::date) AND (d.id = u.session))))
     LEFT JOIN history.query q ON (((q.server_id = w.server_id) AND (q.id = u.query))))
     LEFT JOIN history.session b ON (((b.server_id = w.server_id) AND (b.day = ((w.t0 AT TIME ZONE 'UTC'::text))::date) AND (b.id = u.blocker))));

COMMENT ON VIEW report.activity IS 'every session sample with text labels; filter on t0, by which the data is partitioned (a window may begin five minutes before its last sample), or ask report.activity_between';
COMMENT ON COLUMN report.activity.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.activity.t0 IS 'start of the window that holds the sample, UTC; filter on it';
COMMENT ON COLUMN report.activity."time" IS 'instant of the sample, UTC';
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
COMMENT ON COLUMN report.activity.xmin_age IS 'transactions between the start of the window (of 15 s, as sampled) and the session''s xmin; null: none worth keeping';
COMMENT ON COLUMN report.activity.blocked_by_pid IS 'process id of the first session that blocks this one; null: none, or not known';
COMMENT ON COLUMN report.activity.blocked IS 'true: the session waits for another; report.blocking says for whom';
COMMENT ON COLUMN report.activity.burst IS 'true: the tick was taken in full detail, because the server was busy';
COMMENT ON COLUMN report.activity.load IS 'false: no load, for it waits for work or sleeps because a throttle says so; leave it out of what is counted';

CREATE FUNCTION report.activity_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) RETURNS SETOF report.activity
    LANGUAGE sql STABLE
    AS $_$

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
$_$;

COMMENT ON FUNCTION report.activity_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) IS 'report.activity of one server, from the first instant until before the second; reads the partitions of that range only';

CREATE FUNCTION report.activity_by(server text, dimension text, "from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE("time" timestamp with time zone, key text, samples bigint, ticks bigint)
    LANGUAGE sql STABLE
    AS $_$

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
$_$;

COMMENT ON FUNCTION report.activity_by(server text, dimension text, "from" timestamp with time zone, "to" timestamp with time zone) IS 'session samples of one server by key of a dimension (wait, query, database, user, application, client, backend_type), and in rows without a key the answered ticks: from windows up to three hours, beyond that from rollups of a minute (wait only), ten minutes, an hour or a day, made when those are over';

CREATE FUNCTION report.activity_grain("from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE(server_id bigint, server text, "time" timestamp with time zone, step_seconds integer, ticks_planned bigint, ticks_ok bigint, ticks_degraded bigint, ticks_failed bigint, ticks_skipped bigint, samples bigint, max_sessions integer, max_backends integer, cpu bigint, lock bigint, lwlock bigint, io bigint, ipc bigint, client bigint, timeout bigint, buffer bigint, extension bigint, other bigint, idle_in_transaction bigint)
    LANGUAGE sql STABLE
    AS $_$
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
$_$;

COMMENT ON FUNCTION report.activity_grain("from" timestamp with time zone, "to" timestamp with time zone) IS 'samples by wait class and the ledger of all servers: by minute up to two days, beyond that by hour, and by day beyond 400';

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

CREATE TABLE history.lock (
    server_id bigint NOT NULL,
    id integer NOT NULL,
    lock_type text NOT NULL,
    mode text NOT NULL,
    database_oid oid,
    relation_oid oid,
    relation_name text,
    first_seen_on date NOT NULL,
    last_seen_on date NOT NULL
);

COMMENT ON TABLE history.lock IS 'what sessions waited for; expires when no kept window can hold it';
COMMENT ON COLUMN history.lock.lock_type IS 'as in pg_locks: relation, tuple, transactionid, advisory …';
COMMENT ON COLUMN history.lock.mode IS 'the mode that was asked for';
COMMENT ON COLUMN history.lock.database_oid IS 'null: shared object, or not about a database';
COMMENT ON COLUMN history.lock.relation_oid IS 'null: not about a relation';
COMMENT ON COLUMN history.lock.relation_name IS 'schema and name when it was first seen; null: could not be read';

CREATE VIEW report.blocking AS
 SELECT w.server_id,
    s.name AS server,
    w.t0,
    (w.t0 + ((w.tick_offset_ms[e.tick])::double precision * '00:00:00.001'::interval)) AS "time",
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
    (NOT (e.root IS DISTINCT FROM e.blocker)) AS blocker_is_root
   FROM ((((((history.activity_window w
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
                )
         SELECT edge.tick,
            edge.blocked,
            edge.blocker,
            edge.lock,
            root.session AS root
           FROM (edge
             LEFT JOIN root ON (((root.tick = edge.tick) AND (root.start = edge.blocker))))) e)
     JOIN pgam.server s ON ((s.id = w.server_id)))
     LEFT JOIN history.lock l ON (((l.server_id = w.server_id) AND (l.id = e.lock))))
     LEFT JOIN history.session d ON (((d.server_id = w.server_id) AND (d.day = ((w.t0 AT TIME ZONE 'UTC'::text))::date) AND (d.id = e.blocked))))
     LEFT JOIN history.session b ON (((b.server_id = w.server_id) AND (b.day = ((w.t0 AT TIME ZONE 'UTC'::text))::date) AND (b.id = e.blocker))))
     LEFT JOIN history.session r ON (((r.server_id = w.server_id) AND (r.day = ((w.t0 AT TIME ZONE 'UTC'::text))::date) AND (r.id = e.root))))
  WHERE (w.edge_tick IS NOT NULL);

COMMENT ON VIEW report.blocking IS 'who waited for whom at each tick, for which lock, and behind which root; filter on t0, by which the data is partitioned';
COMMENT ON COLUMN report.blocking.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.blocking.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.blocking.t0 IS 'start of the window that holds the sample, UTC; filter on it';
COMMENT ON COLUMN report.blocking."time" IS 'instant of the sample, UTC';
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
$_$;

COMMENT ON FUNCTION report.blocking_between(server text, "from" timestamp with time zone, "to" timestamp with time zone) IS 'report.blocking of one server, from the first instant until before the second; reads the partitions of that range only';

CREATE FUNCTION report.database_grain("from" timestamp with time zone, "to" timestamp with time zone) RETURNS TABLE(server text, "time" timestamp with time zone, database_name text, seconds double precision, connections double precision, xact_commit bigint, xact_rollback bigint, blks_read bigint, blks_hit bigint, tup_returned bigint, tup_inserted bigint, tup_updated bigint, tup_deleted bigint, temp_bytes bigint, deadlocks bigint, blk_read_time_ms double precision, blk_write_time_ms double precision)
    LANGUAGE sql STABLE
    AS $_$
select d.server, d."time", d.database_name, coalesce(d.stood, d.interval_seconds), d.numbackends, d.xact_commit, d.xact_rollback, d.blks_read,
       d.blks_hit, d.tup_returned, d.tup_inserted, d.tup_updated, d.tup_deleted, d.temp_bytes, d.deadlocks, d.blk_read_time_ms, d.blk_write_time_ms
  from (select d.*,
               extract(epoch from d."time" - lag(d."time") over (partition by d.server, d.database_name, d.epoch order by d."time"))::double precision as stood
          from report.database_stat d
         where $2 - $1 <= interval '6 hours'
           and d."time" >= $1 - interval '330 seconds'
           and d."time" < $2) d
 where d."time" >= $1
 union all
select r.server, r."time", r.database_name, nullif(r.counted_seconds, 0),
       r.connections_average, r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_inserted, r.tup_updated, r.tup_deleted,
       r.temp_bytes, r.deadlocks, r.blk_read_time_ms, r.blk_write_time_ms
  from report.database_rollup r
 where $2 - $1 > interval '6 hours'
   and r.step_seconds = case when $2 - $1 <= interval '60 days' then 3600 when $2 - $1 <= interval '400 days' then 14400 else 86400 end
   and r."time" >= $1
   and r."time" < $2
$_$;

COMMENT ON FUNCTION report.database_grain("from" timestamp with time zone, "to" timestamp with time zone) IS 'what each database did, and the seconds that it was counted in: as sampled up to six hours, beyond that by hour, four hours or day. A rate is the sum of a counter over the sum of seconds';

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

CREATE TABLE history.activity_minute (
    server_id bigint NOT NULL,
    minute timestamp with time zone NOT NULL,
    cadence_ms integer NOT NULL,
    ticks_planned integer NOT NULL,
    ticks_ok integer NOT NULL,
    ticks_degraded integer NOT NULL,
    ticks_failed integer NOT NULL,
    ticks_skipped integer NOT NULL,
    samples integer NOT NULL,
    cpu integer NOT NULL,
    lock integer NOT NULL,
    lwlock integer NOT NULL,
    io integer NOT NULL,
    ipc integer NOT NULL,
    client integer NOT NULL,
    timeout integer NOT NULL,
    buffer integer NOT NULL,
    extension integer NOT NULL,
    other integer NOT NULL,
    idle_in_transaction integer NOT NULL,
    max_sessions integer NOT NULL,
    max_backends integer
)
PARTITION BY RANGE (minute);

COMMENT ON TABLE history.activity_minute IS 'one row a server and minute: session samples by wait class and the ledger; divide by ticks_ok + ticks_degraded for average active sessions';
COMMENT ON COLUMN history.activity_minute.samples IS 'session samples of the minute that are load, the sum of the class columns';
COMMENT ON COLUMN history.activity_minute.cpu IS 'samples of active sessions with no wait event';
COMMENT ON COLUMN history.activity_minute.idle_in_transaction IS 'samples of sessions idle in a transaction, whatever they wait for; in no other class';
COMMENT ON COLUMN history.activity_minute.max_sessions IS 'most sessions in one tick that are load';
COMMENT ON COLUMN history.activity_minute.max_backends IS 'most connections in one tick; null: never known';

CREATE TABLE history.activity_rollup (
    server_id bigint NOT NULL,
    step_seconds integer NOT NULL,
    dimension smallint NOT NULL,
    bucket timestamp with time zone NOT NULL,
    ticks integer NOT NULL,
    samples bigint NOT NULL,
    keys integer[] NOT NULL,
    key_samples bigint[] NOT NULL,
    key_peaks integer[] NOT NULL,
    tail_keys integer NOT NULL,
    tail_samples bigint NOT NULL
)
PARTITION BY RANGE (step_seconds, bucket);

COMMENT ON TABLE history.activity_rollup IS 'session samples of a server, bucket and dimension by key: made from the windows when the bucket is over, and again when late windows come; divide by ticks for average sessions. Partitioned by step, then time: give both';
COMMENT ON COLUMN history.activity_rollup.step_seconds IS 'width of the bucket: 60 (waits only), 600, 3600 or 86400';
COMMENT ON COLUMN history.activity_rollup.dimension IS '1 wait (history.wait), 2 query (history.query), 3 database, 4 user, 5 application, 6 client, 7 backend type (history.label)';
COMMENT ON COLUMN history.activity_rollup.bucket IS 'start of the bucket, UTC';
COMMENT ON COLUMN history.activity_rollup.ticks IS 'answered ticks of the bucket';
COMMENT ON COLUMN history.activity_rollup.samples IS 'session samples of the bucket: the sum of key_samples, and tail_samples';
COMMENT ON COLUMN history.activity_rollup.keys IS 'ids of the dimension''s dictionary, the most frequent first; 0: none (no query, no database …)';
COMMENT ON COLUMN history.activity_rollup.key_samples IS 'session samples of each key';
COMMENT ON COLUMN history.activity_rollup.key_peaks IS 'most sessions of each key in one tick';
COMMENT ON COLUMN history.activity_rollup.tail_keys IS 'at least so many keys are not listed, because they were more than 100';
COMMENT ON COLUMN history.activity_rollup.tail_samples IS 'samples that are not counted under a key: of keys that are not listed, or were not in a finer bucket';

CREATE TABLE history.activity_total (
    server_id bigint NOT NULL,
    step_seconds integer NOT NULL,
    bucket timestamp with time zone NOT NULL,
    cadence_ms integer NOT NULL,
    ticks_planned integer NOT NULL,
    ticks_ok integer NOT NULL,
    ticks_degraded integer NOT NULL,
    ticks_failed integer NOT NULL,
    ticks_skipped integer NOT NULL,
    samples bigint NOT NULL,
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
    max_sessions integer NOT NULL,
    max_backends integer
)
PARTITION BY RANGE (bucket);

COMMENT ON TABLE history.activity_total IS 'activity_minute summed up by hour (step_seconds 3600) and day (86400): what a year is answered from';
COMMENT ON COLUMN history.activity_total.step_seconds IS 'width of the bucket: 3600 or 86400';
COMMENT ON COLUMN history.activity_total.bucket IS 'start of the bucket, UTC';
COMMENT ON COLUMN history.activity_total.cadence_ms IS 'shortest of the bucket';
COMMENT ON COLUMN history.activity_total.samples IS 'session samples, the sum of the class columns';
COMMENT ON COLUMN history.activity_total.max_sessions IS 'most sessions in one tick';
COMMENT ON COLUMN history.activity_total.max_backends IS 'most connections in one tick; null: never known';

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

CREATE TABLE history.database_revision (
    server_id bigint NOT NULL,
    revision bigint NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE history.database_revision IS 'changes with all that is written of a server''s databases: an answer of the same revision still holds';
COMMENT ON COLUMN history.database_revision.revision IS 'counts the transactions that wrote something';

CREATE TABLE history.database_rollup (
    server_id bigint NOT NULL,
    bucket timestamp with time zone NOT NULL,
    step_seconds integer NOT NULL,
    database_oid oid NOT NULL,
    seconds double precision NOT NULL,
    backend_seconds double precision NOT NULL,
    samples integer NOT NULL,
    backends_min integer,
    backends_max integer,
    backends_last integer,
    last_sample_at timestamp with time zone,
    xact_commit bigint,
    size_bytes bigint,
    size_at timestamp with time zone,
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
    counted_seconds double precision DEFAULT 0 NOT NULL
)
PARTITION BY RANGE (step_seconds, bucket);

COMMENT ON TABLE history.database_rollup IS 'database_stat and database_size by hour, four hours and day (UTC), all grown with every stored sample; what was counted between two samples is shared out by time over the buckets that it touches. Partitioned by step, then time: give both';
COMMENT ON COLUMN history.database_rollup.bucket IS 'start of the bucket, UTC';
COMMENT ON COLUMN history.database_rollup.step_seconds IS 'width of the bucket: 3600, 14400 or 86400';
COMMENT ON COLUMN history.database_rollup.database_oid IS 'oid in history.database; 0: shared objects';
COMMENT ON COLUMN history.database_rollup.seconds IS 'seconds that backend_seconds covers';
COMMENT ON COLUMN history.database_rollup.backend_seconds IS 'integral of connections over time; divide by seconds for the average';
COMMENT ON COLUMN history.database_rollup.samples IS 'stored samples in the bucket; 0: only a size was measured';
COMMENT ON COLUMN history.database_rollup.backends_min IS 'fewest connections in a sample; null: shared objects, or no sample';
COMMENT ON COLUMN history.database_rollup.backends_max IS 'most connections in a sample; null as backends_min';
COMMENT ON COLUMN history.database_rollup.backends_last IS 'connections in the newest sample; null as backends_min';
COMMENT ON COLUMN history.database_rollup.last_sample_at IS 'the newest sample of the bucket; null: none';
COMMENT ON COLUMN history.database_rollup.xact_commit IS 'commits in the bucket; the counters that follow are sums likewise, null where the server does not count them';
COMMENT ON COLUMN history.database_rollup.size_bytes IS 'newest size of the bucket; null: none was measured in it';
COMMENT ON COLUMN history.database_rollup.size_at IS 'when size_bytes was measured';
COMMENT ON COLUMN history.database_rollup.blk_read_time_ms IS 'milliseconds; needs track_io_timing on the server';
COMMENT ON COLUMN history.database_rollup.counted_seconds IS 'seconds that the counters are of; divide by it for a rate. 0: nothing was counted';

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
    sampled_at timestamp with time zone NOT NULL,
    database_oid oid NOT NULL,
    numbackends integer,
    interval_seconds double precision,
    epoch timestamp with time zone NOT NULL,
    stats_reset timestamp with time zone,
    checksum_last_failure timestamp with time zone,
    xact_commit_total bigint,
    xact_commit bigint,
    xact_rollback_total bigint,
    xact_rollback bigint,
    blks_read_total bigint,
    blks_read bigint,
    blks_hit_total bigint,
    blks_hit bigint,
    tup_returned_total bigint,
    tup_returned bigint,
    tup_fetched_total bigint,
    tup_fetched bigint,
    tup_inserted_total bigint,
    tup_inserted bigint,
    tup_updated_total bigint,
    tup_updated bigint,
    tup_deleted_total bigint,
    tup_deleted bigint,
    conflicts_total bigint,
    conflicts bigint,
    temp_files_total bigint,
    temp_files bigint,
    temp_bytes_total bigint,
    temp_bytes bigint,
    deadlocks_total bigint,
    deadlocks bigint,
    checksum_failures_total bigint,
    checksum_failures bigint,
    sessions_total bigint,
    sessions bigint,
    sessions_abandoned_total bigint,
    sessions_abandoned bigint,
    sessions_fatal_total bigint,
    sessions_fatal bigint,
    sessions_killed_total bigint,
    sessions_killed bigint,
    parallel_workers_to_launch_total bigint,
    parallel_workers_to_launch bigint,
    parallel_workers_launched_total bigint,
    parallel_workers_launched bigint,
    blk_read_time_ms_total double precision,
    blk_read_time_ms double precision,
    blk_write_time_ms_total double precision,
    blk_write_time_ms double precision,
    session_time_ms_total double precision,
    session_time_ms double precision,
    active_time_ms_total double precision,
    active_time_ms double precision,
    idle_in_transaction_time_ms_total double precision,
    idle_in_transaction_time_ms double precision
)
PARTITION BY RANGE (sampled_at);

COMMENT ON TABLE history.database_stat IS 'pg_stat_database: counters since the epoch (_total) and what was added since the sample before (no suffix); a database in which nothing changed is written every five minutes only, so a missing row means zero, not unknown';
COMMENT ON COLUMN history.database_stat.database_oid IS 'oid in history.database; 0: shared objects';
COMMENT ON COLUMN history.database_stat.numbackends IS 'connections at this instant; null for shared objects';
COMMENT ON COLUMN history.database_stat.interval_seconds IS 'seconds since the sample before, which the columns without _total cover; null: first sample of an epoch';
COMMENT ON COLUMN history.database_stat.epoch IS 'instant of the first sample since the counters began anew (restart, reset, new oid, another instance, a counter that went back)';
COMMENT ON COLUMN history.database_stat.sessions IS 'sessions established; PostgreSQL 14 and later';
COMMENT ON COLUMN history.database_stat.blk_read_time_ms IS 'milliseconds; needs track_io_timing on the server';

CREATE TABLE history.disk_rollup (
    server_id bigint NOT NULL,
    bucket timestamp with time zone NOT NULL,
    mount_point text NOT NULL,
    samples integer NOT NULL,
    last_sample_at timestamp with time zone NOT NULL,
    total_bytes bigint,
    free_bytes bigint,
    free_bytes_min bigint,
    inodes_free bigint
)
PARTITION BY RANGE (bucket);

COMMENT ON TABLE history.disk_rollup IS 'disk_usage by hour (UTC), grown with every stored sample';
COMMENT ON COLUMN history.disk_rollup.bucket IS 'start of the hour, UTC';
COMMENT ON COLUMN history.disk_rollup.samples IS 'stored samples in the hour';
COMMENT ON COLUMN history.disk_rollup.last_sample_at IS 'the newest of them';
COMMENT ON COLUMN history.disk_rollup.total_bytes IS 'of the newest sample; null: unknown';
COMMENT ON COLUMN history.disk_rollup.free_bytes IS 'of the newest sample; null: unknown';
COMMENT ON COLUMN history.disk_rollup.free_bytes_min IS 'least of the hour';
COMMENT ON COLUMN history.disk_rollup.inodes_free IS 'of the newest sample; null: unknown';

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
    id integer NOT NULL,
    dimension smallint NOT NULL,
    text text NOT NULL,
    last_seen_on date NOT NULL
);

COMMENT ON TABLE history.label IS 'texts that activity_rollup counts by';
COMMENT ON COLUMN history.label.dimension IS '3 database, 4 user, 5 application, 6 client, 7 backend type';

CREATE TABLE history.packed_day (
    day date NOT NULL,
    packed_at timestamp with time zone NOT NULL,
    windows bigint NOT NULL,
    rows bigint NOT NULL,
    samples bigint NOT NULL,
    bytes_before bigint NOT NULL,
    bytes_after bigint NOT NULL,
    late bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE history.packed_day IS 'days whose windows were packed into five minutes each';
COMMENT ON COLUMN history.packed_day.windows IS 'windows before';
COMMENT ON COLUMN history.packed_day.rows IS 'rows after';
COMMENT ON COLUMN history.packed_day.bytes_before IS 'partition with indexes and TOAST';
COMMENT ON COLUMN history.packed_day.late IS 'windows that came since; when they are many the day is packed again';

CREATE TABLE history.packing (
    server_id bigint NOT NULL,
    day date NOT NULL,
    windows bigint NOT NULL,
    first_t0 timestamp with time zone NOT NULL,
    last_t0 timestamp with time zone NOT NULL,
    rows bigint NOT NULL,
    samples bigint NOT NULL
);

COMMENT ON TABLE history.packing IS 'servers of a day that are packed beside its partition, until all are and it takes the partition''s place';
COMMENT ON COLUMN history.packing.windows IS 'windows that were packed; with first_t0 and last_t0 it tells whether one came or went since';
COMMENT ON COLUMN history.packing.rows IS 'rows after';

CREATE TABLE history.reason (
    id smallint NOT NULL,
    name text NOT NULL
);

COMMENT ON TABLE history.reason IS 'why a planned tick was not ok';

CREATE TABLE history.rollup_due (
    server_id bigint NOT NULL,
    step_seconds integer NOT NULL,
    bucket timestamp with time zone NOT NULL,
    revision integer NOT NULL,
    tries integer DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE history.rollup_due IS 'buckets of activity_rollup and activity_total for which something came since they were made, the one that is not over yet too: answers take them from finer grains';
COMMENT ON COLUMN history.rollup_due.step_seconds IS '600: windows came; 3600, 86400: finer buckets were made';
COMMENT ON COLUMN history.rollup_due.revision IS 'counts what came: who made the bucket takes the row away only if nothing came meanwhile';
COMMENT ON COLUMN history.rollup_due.tries IS 'times in a row that it could not be made: those that fail come last';

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

CREATE TABLE pgam.ended_session (
    account_id bigint NOT NULL,
    session text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT ended_session_session_check CHECK (((length(session) >= 1) AND (length(session) <= 64)))
);

COMMENT ON TABLE pgam.ended_session IS 'logins that were logged out; kept until the last token of the login has expired';
COMMENT ON COLUMN pgam.ended_session.session IS 'claim sid of the tokens of the login';
COMMENT ON COLUMN pgam.ended_session.expires_at IS 'when the last token of the login expires, at the latest';

CREATE TABLE pgam.lease (
    one boolean DEFAULT true NOT NULL,
    holder text,
    term bigint NOT NULL,
    beats bigint DEFAULT 0 NOT NULL,
    renewed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT lease_one_check CHECK (one)
)
WITH (fillfactor='10');

COMMENT ON TABLE pgam.lease IS 'the one collector that samples and writes the history; another takes over when beats stands still for ten seconds';
COMMENT ON COLUMN pgam.lease.one IS 'there is one row';
COMMENT ON COLUMN pgam.lease.holder IS 'host and journal of the collector; null: it gave the lease back';
COMMENT ON COLUMN pgam.lease.term IS 'grows with every taking: what is written names the term it was seen in';
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

CREATE TABLE pgam.written (
    one boolean DEFAULT true NOT NULL,
    id text DEFAULT md5(((random())::text || (clock_timestamp())::text)) NOT NULL,
    batches bigint DEFAULT 0 NOT NULL,
    CONSTRAINT written_one_check CHECK (one)
)
WITH (fillfactor='10');

COMMENT ON TABLE pgam.written IS 'which stats_db this is, and how often history was written to it';
COMMENT ON COLUMN pgam.written.one IS 'there is one row';
COMMENT ON COLUMN pgam.written.id IS 'drawn when it was made; a dump has it too';
COMMENT ON COLUMN pgam.written.batches IS 'grows with every batch: less than a collector remembers says that this is an older one';

CREATE TABLE public.pgam_schema_version (
    version integer NOT NULL
);

CREATE VIEW report.activity_bucket AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    r.step_seconds,
    (ARRAY['wait'::text, 'query'::text, 'database'::text, 'user'::text, 'application'::text, 'client'::text, 'backend_type'::text])[r.dimension] AS dimension,
    r.ticks,
    r.samples
   FROM (history.activity_rollup r
     JOIN pgam.server s ON ((s.id = r.server_id)));

COMMENT ON VIEW report.activity_bucket IS 'one row a bucket of report.activity_rollup, also of one in which nobody was active: divide samples by ticks for average sessions; choose one step_seconds and dimension, and give time a range';
COMMENT ON COLUMN report.activity_bucket.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity_bucket.server IS 'name of the server';
COMMENT ON COLUMN report.activity_bucket."time" IS 'start of the bucket, UTC';
COMMENT ON COLUMN report.activity_bucket.step_seconds IS 'width of the bucket in seconds';
COMMENT ON COLUMN report.activity_bucket.dimension IS 'wait, query, database, user, application, client or backend_type';
COMMENT ON COLUMN report.activity_bucket.ticks IS 'answered ticks of the bucket';
COMMENT ON COLUMN report.activity_bucket.samples IS 'session samples of the bucket';

CREATE VIEW report.activity_minute AS
 SELECT m.server_id,
    s.name AS server,
    m.minute AS "time",
    m.ticks_planned,
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
    m.idle_in_transaction
   FROM (history.activity_minute m
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

CREATE VIEW report.activity_rollup AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    r.step_seconds,
    (ARRAY['wait'::text, 'query'::text, 'database'::text, 'user'::text, 'application'::text, 'client'::text, 'backend_type'::text])[r.dimension] AS dimension,
        CASE r.dimension
            WHEN 1 THEN ( SELECT ((x.state || ' '::text) || concat_ws(':'::text, NULLIF(x.wait_event_type, ''::text), NULLIF(x.wait_event, ''::text)))
               FROM history.wait x
              WHERE ((x.server_id = r.server_id) AND (x.id = k.key)))
            WHEN 2 THEN ( SELECT COALESCE(q.text, (q.query_id)::text) AS "coalesce"
               FROM history.query q
              WHERE ((q.server_id = r.server_id) AND (q.id = k.key)))
            ELSE ( SELECT l.text
               FROM history.label l
              WHERE ((l.server_id = r.server_id) AND (l.id = k.key)))
        END AS key,
        CASE
            WHEN (r.dimension = 2) THEN ( SELECT q.query_id
               FROM history.query q
              WHERE ((q.server_id = r.server_id) AND (q.id = k.key)))
            ELSE NULL::bigint
        END AS query_id,
    (k.key IS NULL) AS is_rest,
    k.samples,
    ((k.samples)::double precision / (NULLIF(r.ticks, 0))::double precision) AS average_sessions,
    k.peak AS max_sessions
   FROM ((history.activity_rollup r
     CROSS JOIN LATERAL UNNEST(array_append(r.keys, NULL::integer), array_append(r.key_samples, r.tail_samples), r.key_peaks) k(key, samples, peak))
     JOIN pgam.server s ON ((s.id = r.server_id)))
  WHERE (k.samples > 0);

COMMENT ON VIEW report.activity_rollup IS 'sessions by wait, query, database, user, application, client and backend type, of ten minutes (step_seconds 600), an hour (3600) or a day (86400), waits also of a minute (60); choose one step_seconds and dimension, and give time a range';
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
    t.bucket AS "time",
    t.step_seconds,
    t.ticks_planned,
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
    t.idle_in_transaction
   FROM (history.activity_total t
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

CREATE VIEW report.activity_window AS
 SELECT w.server_id,
    w.t0,
    w.span_ms,
    w.cadence_ms,
    w.samples,
    w.xid_base,
    w.tick_offset_ms,
    w.tick_outcome,
    w.tick_reason,
    w.tick_duration_us,
    w.tick_backends,
    w.tick_burst,
    w.sample_tick,
    w.sample_session,
    w.sample_wait,
    w.sample_query,
    w.sample_query_start_ms,
    w.sample_xact_lead_ms,
    w.sample_state_lag_ms,
    w.sample_xmin_age,
    w.sample_blocker,
    w.edge_tick,
    w.edge_blocked,
    w.edge_blocker,
    w.edge_lock
   FROM history.activity_window w;

COMMENT ON VIEW report.activity_window IS 'windows as they are stored: parallel arrays of dictionary ids; report.activity shows them as rows';
COMMENT ON COLUMN report.activity_window.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.activity_window.t0 IS 'start of the window, UTC; samples lie within five minutes after it';
COMMENT ON COLUMN report.activity_window.span_ms IS 'milliseconds that the window covers';
COMMENT ON COLUMN report.activity_window.cadence_ms IS 'milliseconds between planned ticks';
COMMENT ON COLUMN report.activity_window.samples IS 'session samples in the row';
COMMENT ON COLUMN report.activity_window.xid_base IS 'the server''s next transaction id at the first answered tick; null: not known';
COMMENT ON COLUMN report.activity_window.tick_offset_ms IS 'milliseconds from t0, an element a planned tick';
COMMENT ON COLUMN report.activity_window.tick_outcome IS '0 ok, 1 degraded, 2 failed, 3 skipped, an element a tick; null: all ok';
COMMENT ON COLUMN report.activity_window.tick_reason IS 'number of the reason, an element a tick; null: all ok';
COMMENT ON COLUMN report.activity_window.tick_duration_us IS 'microseconds the visit took, an element a tick';
COMMENT ON COLUMN report.activity_window.tick_backends IS 'connections to a database, an element a tick; null elements: not answered';
COMMENT ON COLUMN report.activity_window.tick_burst IS 'taken in full detail, an element a tick; null: none was';
COMMENT ON COLUMN report.activity_window.sample_tick IS '1-based index into the tick arrays, an element a session sample';
COMMENT ON COLUMN report.activity_window.sample_session IS 'session_id in report.session of the same server and day';
COMMENT ON COLUMN report.activity_window.sample_wait IS 'wait_id in report.wait of the same server';
COMMENT ON COLUMN report.activity_window.sample_query IS 'query_ref in report.query of the same server; null elements: no statement';
COMMENT ON COLUMN report.activity_window.sample_query_start_ms IS 'milliseconds from t0 to query_start; null elements: not known';
COMMENT ON COLUMN report.activity_window.sample_xact_lead_ms IS 'milliseconds from xact_start to query_start; null elements: in no transaction';
COMMENT ON COLUMN report.activity_window.sample_state_lag_ms IS 'milliseconds from query_start to state_change; null: none';
COMMENT ON COLUMN report.activity_window.sample_xmin_age IS 'transactions between the start of the window (as sampled) and the session''s xmin; null: none worth keeping';
COMMENT ON COLUMN report.activity_window.sample_blocker IS 'session_id of the first that blocks; 0: not known; null: not blocked';
COMMENT ON COLUMN report.activity_window.edge_tick IS '1-based index into the tick arrays, an element an edge; null: nobody waited for a lock';
COMMENT ON COLUMN report.activity_window.edge_blocked IS 'session_id of the session that waits';
COMMENT ON COLUMN report.activity_window.edge_blocker IS 'session_id of one that it waits for; 0: not known';
COMMENT ON COLUMN report.activity_window.edge_lock IS 'number of the lock; 0: not known';

CREATE VIEW report.coverage AS
 SELECT h.server_id,
    s.name AS server,
    h."time",
    h.ticks_planned,
    h.ticks_ok,
    h.ticks_degraded,
    h.ticks_failed,
    h.ticks_skipped
   FROM (( SELECT t.server_id,
            t.bucket AS "time",
            (t.ticks_planned)::bigint AS ticks_planned,
            (t.ticks_ok)::bigint AS ticks_ok,
            (t.ticks_degraded)::bigint AS ticks_degraded,
            (t.ticks_failed)::bigint AS ticks_failed,
            (t.ticks_skipped)::bigint AS ticks_skipped
           FROM history.activity_total t
          WHERE ((t.step_seconds = 3600) AND (NOT (EXISTS ( SELECT
                   FROM history.rollup_due u
                  WHERE ((u.server_id = t.server_id) AND (u.step_seconds = ANY (ARRAY[600, 3600])) AND (u.bucket >= t.bucket) AND (u.bucket < (t.bucket + '01:00:00'::interval)))))))
        UNION ALL
         SELECT u.server_id,
            u."time",
            m.planned,
            m.ok,
            m.degraded,
            m.failed,
            m.skipped
           FROM (( SELECT DISTINCT d.server_id,
                    date_bin('01:00:00'::interval, d.bucket, '1970-01-01 00:00:00+00'::timestamp with time zone) AS "time"
                   FROM history.rollup_due d
                  WHERE (d.step_seconds = ANY (ARRAY[600, 3600]))) u
             CROSS JOIN LATERAL ( SELECT sum(m_1.ticks_planned) AS planned,
                    sum(m_1.ticks_ok) AS ok,
                    sum(m_1.ticks_degraded) AS degraded,
                    sum(m_1.ticks_failed) AS failed,
                    sum(m_1.ticks_skipped) AS skipped
                   FROM history.activity_minute m_1
                  WHERE ((m_1.server_id = u.server_id) AND (m_1.minute >= u."time") AND (m_1.minute < (u."time" + '01:00:00'::interval)))
                 HAVING (count(*) > 0)) m)) h
     JOIN pgam.server s ON ((s.id = h.server_id)));

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
     LEFT JOIN ( SELECT i.server_id,
            i.oid,
            i.name,
            i.first_seen_at,
            lead(i.first_seen_at) OVER (PARTITION BY i.server_id, i.oid ORDER BY i.first_seen_at) AS next_at
           FROM history.database i) n ON (((n.server_id = r.server_id) AND (n.oid = r.database_oid) AND (n.first_seen_at < (r.bucket + ((r.step_seconds)::double precision * '00:00:01'::interval))) AND ((n.next_at IS NULL) OR (n.next_at >= (r.bucket + ((r.step_seconds)::double precision * '00:00:01'::interval)))))));

COMMENT ON VIEW report.database_rollup IS 'what each database did by hour (step_seconds 3600), four hours (14400) or day (86400); choose one step_seconds and give time a range';
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
COMMENT ON COLUMN report.database_rollup.counted_seconds IS 'seconds that the counters are of; divide by it for a rate. 0: nothing was counted';

CREATE VIEW report.database_size AS
 SELECT z.server_id,
    s.name AS server,
    z.sampled_at AS "time",
    i.name AS database_name,
    z.size_bytes
   FROM ((history.database_size z
     JOIN pgam.server s ON ((s.id = z.server_id)))
     LEFT JOIN ( SELECT i_1.server_id,
            i_1.oid,
            i_1.name,
            i_1.first_seen_at,
            lead(i_1.first_seen_at) OVER (PARTITION BY i_1.server_id, i_1.oid ORDER BY i_1.first_seen_at) AS next_at
           FROM history.database i_1) i ON (((i.server_id = z.server_id) AND (i.oid = z.database_oid) AND (i.first_seen_at <= z.sampled_at) AND ((i.next_at IS NULL) OR (i.next_at > z.sampled_at)))))
  WHERE (z.size_bytes IS NOT NULL);

COMMENT ON VIEW report.database_size IS 'bytes on disk of each database over time';
COMMENT ON COLUMN report.database_size.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.database_size.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.database_size."time" IS 'instant of the sample, UTC';
COMMENT ON COLUMN report.database_size.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.database_size.size_bytes IS 'bytes on disk';

CREATE VIEW report.database_stat AS
 SELECT d.server_id,
    s.name AS server,
    d.sampled_at AS "time",
    n.name AS database_name,
    d.numbackends,
    d.interval_seconds,
    d.epoch,
    d.stats_reset,
    d.xact_commit,
    d.xact_rollback,
    d.blks_read,
    d.blks_hit,
    d.tup_returned,
    d.tup_fetched,
    d.tup_inserted,
    d.tup_updated,
    d.tup_deleted,
    d.conflicts,
    d.temp_files,
    d.temp_bytes,
    d.deadlocks,
    d.checksum_failures,
    d.blk_read_time_ms,
    d.blk_write_time_ms,
    d.session_time_ms,
    d.active_time_ms,
    d.idle_in_transaction_time_ms,
    d.sessions,
    d.sessions_abandoned,
    d.sessions_fatal,
    d.sessions_killed,
    d.parallel_workers_to_launch,
    d.parallel_workers_launched
   FROM ((history.database_stat d
     JOIN pgam.server s ON ((s.id = d.server_id)))
     LEFT JOIN ( SELECT i.server_id,
            i.oid,
            i.name,
            i.first_seen_at,
            lead(i.first_seen_at) OVER (PARTITION BY i.server_id, i.oid ORDER BY i.first_seen_at) AS next_at
           FROM history.database i) n ON (((n.server_id = d.server_id) AND (n.oid = d.database_oid) AND (n.first_seen_at <= d.sampled_at) AND ((n.next_at IS NULL) OR (n.next_at > d.sampled_at)))));

COMMENT ON VIEW report.database_stat IS 'what each database did since the sample before; a database without change has a row every five minutes only';
COMMENT ON COLUMN report.database_stat.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.database_stat.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.database_stat."time" IS 'instant of the sample, UTC';
COMMENT ON COLUMN report.database_stat.database_name IS 'name of the database; null: none, or shared objects';
COMMENT ON COLUMN report.database_stat.numbackends IS 'connections at this instant; null: shared objects';
COMMENT ON COLUMN report.database_stat.interval_seconds IS 'seconds since the sample before, which the counters cover; null: first sample of an epoch';
COMMENT ON COLUMN report.database_stat.epoch IS 'first sample since the counters began anew, UTC';
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
COMMENT ON COLUMN report.disk_usage."time" IS 'instant of the sample, UTC';
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
COMMENT ON COLUMN report.horizon."time" IS 'instant of the sample, UTC';
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
COMMENT ON COLUMN report.instance.server IS 'name of the server';
COMMENT ON COLUMN report.instance."time" IS 'from when on, UTC';
COMMENT ON COLUMN report.instance.version_num IS 'server_version_num';
COMMENT ON COLUMN report.instance.version IS 'server_version';
COMMENT ON COLUMN report.instance.postmaster_start IS 'when it was started, UTC';
COMMENT ON COLUMN report.instance.in_recovery IS 'true: a standby';

CREATE VIEW report.lock AS
 SELECT l.server_id,
    l.id AS lock_ref,
    l.lock_type,
    l.mode,
    l.database_oid,
    l.relation_oid,
    l.relation_name,
    l.first_seen_on,
    l.last_seen_on
   FROM history.lock l;

COMMENT ON VIEW report.lock IS 'what sessions waited for, by server';
COMMENT ON COLUMN report.lock.server_id IS 'id of the server; report.server has its name';
COMMENT ON COLUMN report.lock.lock_ref IS 'number of the lock, good for its server';
COMMENT ON COLUMN report.lock.lock_type IS 'as in pg_locks: relation, tuple, transactionid …';
COMMENT ON COLUMN report.lock.mode IS 'lock mode that was asked for';
COMMENT ON COLUMN report.lock.database_oid IS 'oid of the database; null: shared object, or not about one';
COMMENT ON COLUMN report.lock.relation_oid IS 'oid of the relation; null: not about one';
COMMENT ON COLUMN report.lock.relation_name IS 'schema and name of the relation; null: not known';
COMMENT ON COLUMN report.lock.first_seen_on IS 'UTC day when it was first seen';
COMMENT ON COLUMN report.lock.last_seen_on IS 'UTC day when it was last seen';

CREATE VIEW report.packed_day AS
 SELECT ((p.day)::timestamp without time zone AT TIME ZONE 'UTC'::text) AS "time",
    p.packed_at,
    p.windows,
    p.rows,
    p.samples,
    p.bytes_before,
    p.bytes_after,
    p.late
   FROM history.packed_day p;

COMMENT ON VIEW report.packed_day IS 'days whose windows were packed into five minutes each';
COMMENT ON COLUMN report.packed_day."time" IS 'start of the day, UTC';
COMMENT ON COLUMN report.packed_day.packed_at IS 'when it was packed, UTC';
COMMENT ON COLUMN report.packed_day.windows IS 'windows before';
COMMENT ON COLUMN report.packed_day.rows IS 'rows after';
COMMENT ON COLUMN report.packed_day.samples IS 'session samples of the day';
COMMENT ON COLUMN report.packed_day.bytes_before IS 'bytes of the partition before, with indexes and TOAST';
COMMENT ON COLUMN report.packed_day.bytes_after IS 'bytes of the partition after';
COMMENT ON COLUMN report.packed_day.late IS 'windows that came since';

CREATE VIEW report.query AS
 SELECT q.server_id,
    q.id AS query_ref,
    q.query_id,
    q.own AS own_fingerprint,
    q.text AS query,
    q.first_seen_on,
    q.last_seen_on
   FROM history.query q;

COMMENT ON VIEW report.query IS 'statements by server';
COMMENT ON COLUMN report.query.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.query.query_ref IS 'number of the statement, good for its server';
COMMENT ON COLUMN report.query.query_id IS 'PostgreSQL''s query_id, or pgam''s fingerprint of the text; null: no statement';
COMMENT ON COLUMN report.query.own_fingerprint IS 'true: query_id is pgam''s fingerprint, as the server gave none';
COMMENT ON COLUMN report.query.query IS 'text of the statement as the server''s setting keeps it: normalized, full, or null';
COMMENT ON COLUMN report.query.first_seen_on IS 'UTC day when it was first seen';
COMMENT ON COLUMN report.query.last_seen_on IS 'UTC day when it was last seen';

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

CREATE VIEW report.session AS
 SELECT d.server_id,
    d.day,
    d.id AS session_id,
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

COMMENT ON VIEW report.session IS 'sessions by day (UTC); an id is good for its server and day; filter on day, by which they are partitioned';
COMMENT ON COLUMN report.session.server_id IS 'id of the server; report.server has its name';
COMMENT ON COLUMN report.session.day IS 'UTC day';
COMMENT ON COLUMN report.session.session_id IS 'number of the session, good for its server and day';
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
    w.t0,
    (w.t0 + ((u.offset_ms)::double precision * '00:00:00.001'::interval)) AS "time",
    (ARRAY['ok'::text, 'degraded'::text, 'failed'::text, 'skipped'::text])[(COALESCE((u.outcome)::integer, 0) + 1)] AS outcome,
    NULLIF(r.name, ''::text) AS reason,
    ((u.duration_us)::numeric / 1000.0) AS duration_ms,
    u.backends,
    COALESCE(u.burst, false) AS burst
   FROM (((history.activity_window w
     CROSS JOIN LATERAL UNNEST(w.tick_offset_ms, w.tick_outcome, w.tick_reason, w.tick_duration_us, w.tick_backends, w.tick_burst) u(offset_ms, outcome, reason, duration_us, backends, burst))
     JOIN pgam.server s ON ((s.id = w.server_id)))
     LEFT JOIN history.reason r ON ((r.id = COALESCE((u.reason)::integer, 0))));

COMMENT ON VIEW report.tick IS 'the ledger: every planned tick with its outcome';
COMMENT ON COLUMN report.tick.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.tick.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.tick.t0 IS 'start of the window that holds the sample, UTC; filter on it';
COMMENT ON COLUMN report.tick."time" IS 'instant of the sample, UTC';
COMMENT ON COLUMN report.tick.outcome IS 'ok, degraded (some was not answered), failed or skipped';
COMMENT ON COLUMN report.tick.reason IS 'why it was not ok; null: it was';
COMMENT ON COLUMN report.tick.duration_ms IS 'milliseconds the visit took';
COMMENT ON COLUMN report.tick.backends IS 'connections to a database, idle ones too; null: not answered';
COMMENT ON COLUMN report.tick.burst IS 'true: the tick was taken in full detail, because the server was busy';

CREATE VIEW report.wait AS
 SELECT x.server_id,
    x.id AS wait_id,
    x.state,
    x.wait_event_type,
    x.wait_event
   FROM history.wait x;

COMMENT ON VIEW report.wait IS 'what sessions were doing: state and wait, by server';
COMMENT ON COLUMN report.wait.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.wait.wait_id IS 'number of the wait, good for its server';
COMMENT ON COLUMN report.wait.state IS 'state as in pg_stat_activity; null: the rest of what is not listed';
COMMENT ON COLUMN report.wait.wait_event_type IS 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed';
COMMENT ON COLUMN report.wait.wait_event IS 'name of the wait event; empty: none';

CREATE VIEW report.wait_minute AS
 SELECT r.server_id,
    s.name AS server,
    r.bucket AS "time",
    x.state,
    x.wait_event_type,
    x.wait_event,
    (k.key IS NULL) AS is_rest,
    k.samples,
    ((k.samples)::double precision / (NULLIF(r.ticks, 0))::double precision) AS average_sessions,
    k.peak AS max_sessions
   FROM (((history.activity_rollup r
     CROSS JOIN LATERAL UNNEST(array_append(r.keys, NULL::integer), array_append(r.key_samples, r.tail_samples), r.key_peaks) k(key, samples, peak))
     JOIN pgam.server s ON ((s.id = r.server_id)))
     LEFT JOIN history.wait x ON (((x.server_id = r.server_id) AND (x.id = k.key))))
  WHERE ((r.step_seconds = 60) AND (r.dimension = 1) AND (k.samples > 0));

COMMENT ON VIEW report.wait_minute IS 'sessions by state and wait event of each minute; made when the minute''s ten are over';
COMMENT ON COLUMN report.wait_minute.server_id IS 'id of the server, never reused';
COMMENT ON COLUMN report.wait_minute.server IS 'name of the server; null: the monitor itself';
COMMENT ON COLUMN report.wait_minute."time" IS 'start of the minute, UTC';
COMMENT ON COLUMN report.wait_minute.state IS 'state as in pg_stat_activity; null: the rest of what is not listed';
COMMENT ON COLUMN report.wait_minute.wait_event_type IS 'type of the wait event, CPU where PostgreSQL reports none; null: the rest of what is not listed';
COMMENT ON COLUMN report.wait_minute.wait_event IS 'name of the wait event; empty: none';
COMMENT ON COLUMN report.wait_minute.is_rest IS 'true: the sum of all that is not listed, because it was too much';
COMMENT ON COLUMN report.wait_minute.samples IS 'session samples';
COMMENT ON COLUMN report.wait_minute.average_sessions IS 'mean number of sessions; null: no tick was answered';
COMMENT ON COLUMN report.wait_minute.max_sessions IS 'most sessions in one tick; null: not known';

ALTER TABLE ONLY history.activity_minute
    ADD CONSTRAINT activity_minute_pkey PRIMARY KEY (server_id, minute);

ALTER TABLE history.activity_rollup
    ADD CONSTRAINT activity_rollup_keys CHECK (((cardinality(key_samples) = cardinality(keys)) AND (cardinality(key_peaks) = cardinality(keys)))) NOT VALID;

ALTER TABLE ONLY history.activity_rollup
    ADD CONSTRAINT activity_rollup_pkey PRIMARY KEY (server_id, step_seconds, dimension, bucket);

ALTER TABLE ONLY history.activity_total
    ADD CONSTRAINT activity_total_pkey PRIMARY KEY (server_id, step_seconds, bucket);

ALTER TABLE history.activity_window
    ADD CONSTRAINT activity_window_edges CHECK (((COALESCE(cardinality(edge_blocked), 0) = COALESCE(cardinality(edge_tick), 0)) AND (COALESCE(cardinality(edge_blocker), 0) = COALESCE(cardinality(edge_tick), 0)) AND (COALESCE(cardinality(edge_lock), 0) = COALESCE(cardinality(edge_tick), 0)) AND ((edge_tick IS NULL) OR ((1 <= ALL (edge_tick)) AND (cardinality(tick_offset_ms) >= ALL (edge_tick)))))) NOT VALID;

ALTER TABLE ONLY history.activity_window
    ADD CONSTRAINT activity_window_pkey PRIMARY KEY (server_id, t0);

ALTER TABLE history.activity_window
    ADD CONSTRAINT activity_window_samples CHECK (((cardinality(sample_session) = cardinality(sample_tick)) AND (cardinality(sample_wait) = cardinality(sample_tick)) AND (cardinality(sample_query) = cardinality(sample_tick)) AND (cardinality(sample_query_start_ms) = cardinality(sample_tick)) AND (cardinality(sample_xact_lead_ms) = cardinality(sample_tick)) AND ((sample_state_lag_ms IS NULL) OR (cardinality(sample_state_lag_ms) = cardinality(sample_tick))) AND ((sample_xmin_age IS NULL) OR (cardinality(sample_xmin_age) = cardinality(sample_tick))) AND ((sample_blocker IS NULL) OR (cardinality(sample_blocker) = cardinality(sample_tick))) AND (1 <= ALL (sample_tick)) AND (cardinality(tick_offset_ms) >= ALL (sample_tick)))) NOT VALID;

ALTER TABLE history.activity_window
    ADD CONSTRAINT activity_window_ticks CHECK (((cardinality(tick_duration_us) = cardinality(tick_offset_ms)) AND (cardinality(tick_backends) = cardinality(tick_offset_ms)) AND ((tick_outcome IS NULL) = (tick_reason IS NULL)) AND ((tick_outcome IS NULL) OR (cardinality(tick_outcome) = cardinality(tick_offset_ms))) AND ((tick_reason IS NULL) OR (cardinality(tick_reason) = cardinality(tick_offset_ms))) AND ((tick_burst IS NULL) OR (cardinality(tick_burst) = cardinality(tick_offset_ms))))) NOT VALID;

ALTER TABLE ONLY history.database
    ADD CONSTRAINT database_pkey PRIMARY KEY (server_id, oid, name);

ALTER TABLE ONLY history.database_revision
    ADD CONSTRAINT database_revision_pkey PRIMARY KEY (server_id);

ALTER TABLE ONLY history.database_rollup
    ADD CONSTRAINT database_rollup_pkey PRIMARY KEY (server_id, step_seconds, database_oid, bucket);

ALTER TABLE ONLY history.database_size
    ADD CONSTRAINT database_size_pkey PRIMARY KEY (server_id, sampled_at, database_oid);

ALTER TABLE ONLY history.database_stat
    ADD CONSTRAINT database_stat_pkey PRIMARY KEY (server_id, sampled_at, database_oid);

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
    ADD CONSTRAINT label_pkey PRIMARY KEY (server_id, id);

ALTER TABLE ONLY history.label
    ADD CONSTRAINT label_server_id_dimension_text_key UNIQUE (server_id, dimension, text);

ALTER TABLE ONLY history.lock
    ADD CONSTRAINT lock_pkey PRIMARY KEY (server_id, id);

ALTER TABLE ONLY history.packed_day
    ADD CONSTRAINT packed_day_pkey PRIMARY KEY (day);

ALTER TABLE ONLY history.packing
    ADD CONSTRAINT packing_pkey PRIMARY KEY (server_id, day);

ALTER TABLE ONLY history.query
    ADD CONSTRAINT query_pkey PRIMARY KEY (server_id, id);

ALTER TABLE ONLY history.reason
    ADD CONSTRAINT reason_pkey PRIMARY KEY (id);

ALTER TABLE ONLY history.rollup_due
    ADD CONSTRAINT rollup_due_pkey PRIMARY KEY (server_id, step_seconds, bucket);

ALTER TABLE ONLY history.server_identity
    ADD CONSTRAINT server_identity_pkey PRIMARY KEY (server_id, since);

ALTER TABLE ONLY history.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (server_id, day, id);

ALTER TABLE ONLY history.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (server_id, name);

ALTER TABLE ONLY history.wait
    ADD CONSTRAINT wait_pkey PRIMARY KEY (server_id, id);

ALTER TABLE ONLY pgam.account
    ADD CONSTRAINT account_login_key UNIQUE (login);

ALTER TABLE ONLY pgam.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgam.ended_session
    ADD CONSTRAINT ended_session_pkey PRIMARY KEY (account_id, session);

ALTER TABLE ONLY pgam.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (one);

ALTER TABLE ONLY pgam.login_bucket
    ADD CONSTRAINT login_bucket_pkey PRIMARY KEY (key);

ALTER TABLE ONLY pgam.login_origin
    ADD CONSTRAINT login_origin_pkey PRIMARY KEY (account_id, network);

ALTER TABLE ONLY pgam.server
    ADD CONSTRAINT server_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgam.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (name);

ALTER TABLE ONLY pgam.ssh_key
    ADD CONSTRAINT ssh_key_fingerprint_key UNIQUE (fingerprint);

ALTER TABLE ONLY pgam.ssh_key
    ADD CONSTRAINT ssh_key_name_key UNIQUE (name);

ALTER TABLE ONLY pgam.ssh_key
    ADD CONSTRAINT ssh_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pgam.written
    ADD CONSTRAINT written_pkey PRIMARY KEY (one);

CREATE INDEX login_bucket_filled_idx ON pgam.login_bucket USING btree (filled_at);

CREATE INDEX login_origin_network_idx ON pgam.login_origin USING btree (network);

CREATE UNIQUE INDEX server_name_key ON pgam.server USING btree (name) WHERE (deleted_at IS NULL);

CREATE INDEX server_revision_idx ON pgam.server USING btree (revision);

CREATE INDEX server_ssh_key_idx ON pgam.server USING btree (ssh_key_id) WHERE (ssh_key_id IS NOT NULL);

CREATE TRIGGER renew_token_epoch BEFORE UPDATE ON pgam.account FOR EACH ROW WHEN ((((old.password_hash IS DISTINCT FROM new.password_hash) OR (old.role IS DISTINCT FROM new.role)) OR (old.active IS DISTINCT FROM new.active))) EXECUTE FUNCTION pgam.renew_token_epoch();

ALTER TABLE ONLY pgam.ended_session
    ADD CONSTRAINT ended_session_account_id_fkey FOREIGN KEY (account_id) REFERENCES pgam.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY pgam.login_origin
    ADD CONSTRAINT login_origin_account_id_fkey FOREIGN KEY (account_id) REFERENCES pgam.account(id) ON DELETE CASCADE;

ALTER TABLE ONLY pgam.server
    ADD CONSTRAINT server_ssh_key_id_fkey FOREIGN KEY (ssh_key_id) REFERENCES pgam.ssh_key(id);

GRANT USAGE ON SCHEMA report TO pgam_read;

GRANT SELECT ON TABLE report.activity TO pgam_read;

GRANT SELECT ON TABLE report.blocking TO pgam_read;

GRANT SELECT ON TABLE report.activity_bucket TO pgam_read;

GRANT SELECT ON TABLE report.activity_minute TO pgam_read;

GRANT SELECT ON TABLE report.activity_rollup TO pgam_read;

GRANT SELECT ON TABLE report.activity_total TO pgam_read;

GRANT SELECT ON TABLE report.activity_window TO pgam_read;

GRANT SELECT ON TABLE report.coverage TO pgam_read;

GRANT SELECT ON TABLE report.database TO pgam_read;

GRANT SELECT ON TABLE report.database_rollup TO pgam_read;

GRANT SELECT ON TABLE report.database_size TO pgam_read;

GRANT SELECT ON TABLE report.database_stat TO pgam_read;

GRANT SELECT ON TABLE report.disk_rollup TO pgam_read;

GRANT SELECT ON TABLE report.disk_usage TO pgam_read;

GRANT SELECT ON TABLE report.event TO pgam_read;

GRANT SELECT ON TABLE report.horizon TO pgam_read;

GRANT SELECT ON TABLE report.instance TO pgam_read;

GRANT SELECT ON TABLE report.lock TO pgam_read;

GRANT SELECT ON TABLE report.packed_day TO pgam_read;

GRANT SELECT ON TABLE report.query TO pgam_read;

GRANT SELECT ON TABLE report.server TO pgam_read;

GRANT SELECT ON TABLE report.session TO pgam_read;

GRANT SELECT ON TABLE report.setting TO pgam_read;

GRANT SELECT ON TABLE report.storage TO pgam_read;

GRANT SELECT ON TABLE report.tick TO pgam_read;

GRANT SELECT ON TABLE report.wait TO pgam_read;

GRANT SELECT ON TABLE report.wait_minute TO pgam_read;
