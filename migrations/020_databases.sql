-- Counters of databases as PostgreSQL said them. What was added between two rows
-- is a function of the two, whoever wrote them and whenever they came; rollups are
-- made anew from rows, never grown.

comment on column history.progress.databases_from is 'rollups of databases are right before the ten minutes that hold this instant, from there on rows count; null: they are right everywhere';

drop table history.database_stat, history.database_rollup, history.database_revision cascade;

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

-- Hours of disks are the newest and the least of their rows: nothing is summed.
drop table history.disk_rollup cascade;
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
