-- Rollups of database statistics: what a year is answered from.

create table history.database_rollup (
    server_id       bigint      not null,
    step_seconds    integer     not null,
    database_oid    oid         not null,
    bucket          timestamptz not null,
    samples         integer     not null,
    seconds         double precision not null,
    backend_seconds double precision not null,
    backends_min    integer,
    backends_max    integer,
    size_bytes      bigint,
    size_at         timestamptz,
    xact_commit     bigint,
    xact_rollback   bigint,
    blks_read       bigint,
    blks_hit        bigint,
    tup_returned    bigint,
    tup_fetched     bigint,
    tup_inserted    bigint,
    tup_updated     bigint,
    tup_deleted     bigint,
    conflicts       bigint,
    temp_files      bigint,
    temp_bytes      bigint,
    deadlocks       bigint,
    sessions        bigint,
    blk_read_time_ms  double precision,
    blk_write_time_ms double precision,
    session_time_ms   double precision,
    active_time_ms    double precision,
    idle_in_transaction_time_ms double precision,
    primary key (server_id, step_seconds, database_oid, bucket)
) partition by range (bucket);
comment on table history.database_rollup is 'database_stat and database_size by hour, four hours and day (UTC), all grown with every stored sample; a sample belongs to the bucket of its own instant, with all that happened since the one before';
comment on column history.database_rollup.step_seconds is 'width of the bucket: 3600, 14400 or 86400';
comment on column history.database_rollup.database_oid is 'oid in history.database; 0: shared objects';
comment on column history.database_rollup.bucket is 'start of the bucket, UTC';
comment on column history.database_rollup.samples is 'stored samples in the bucket';
comment on column history.database_rollup.seconds is 'seconds that backend_seconds covers';
comment on column history.database_rollup.backend_seconds is 'integral of connections over time; divide by seconds for the average';
comment on column history.database_rollup.backends_max is 'most connections in a sample; null: shared objects';
comment on column history.database_rollup.size_bytes is 'newest size of the bucket; null: none was measured in it';
comment on column history.database_rollup.size_at is 'when size_bytes was measured';
comment on column history.database_rollup.xact_commit is 'commits in the bucket; the columns that follow are sums likewise, null where the server does not count them';
comment on column history.database_rollup.blk_read_time_ms is 'milliseconds; needs track_io_timing on the server';

create view report.database_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.step_seconds,
       n.name as database_name,
       r.backend_seconds / nullif(r.seconds, 0) as connections_average,
       r.backends_min as connections_min,
       r.backends_max as connections_max,
       r.size_bytes,
       r.xact_commit, r.xact_rollback, r.blks_read, r.blks_hit, r.tup_returned, r.tup_fetched, r.tup_inserted, r.tup_updated,
       r.tup_deleted, r.conflicts, r.temp_files, r.temp_bytes, r.deadlocks, r.sessions, r.blk_read_time_ms, r.blk_write_time_ms,
       r.session_time_ms, r.active_time_ms, r.idle_in_transaction_time_ms
  from history.database_rollup r
  join pgam.server s on s.id = r.server_id
  left join lateral (
        select i.name
          from history.database i
         where i.server_id = r.server_id and i.oid = r.database_oid
           and i.first_seen_at < r.bucket + r.step_seconds * interval '1 second'
         order by i.first_seen_at desc
         limit 1) n on true;
comment on view report.database_rollup is 'what each database did by hour (step_seconds 3600), four hours (14400) or day (86400); choose one step_seconds and give time a range';

grant select on report.database_rollup to pgam_read;

---- create above / drop below ----

drop view report.database_rollup;
drop table history.database_rollup;
