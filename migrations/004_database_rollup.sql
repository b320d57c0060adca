-- Rollups of databases and disks: what a year is answered from.

create table history.database_rollup (
    server_id       bigint      not null,
    bucket          timestamptz not null,
    step_seconds    integer     not null,
    database_oid    oid         not null,
    seconds         double precision not null,
    backend_seconds double precision not null,
    samples         integer     not null,
    backends_min    integer,
    backends_max    integer,
    backends_last   integer,
    last_sample_at  timestamptz,
    xact_commit     bigint,
    size_bytes      bigint,
    size_at         timestamptz,
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
) partition by range (step_seconds, bucket);
comment on table history.database_rollup is 'database_stat and database_size by hour, four hours and day (UTC), all grown with every stored sample; a sample belongs to the bucket of its own instant, with all that happened since the one before. Partitioned by step, then time: give both';
comment on column history.database_rollup.bucket is 'start of the bucket, UTC';
comment on column history.database_rollup.step_seconds is 'width of the bucket: 3600, 14400 or 86400';
comment on column history.database_rollup.database_oid is 'oid in history.database; 0: shared objects';
comment on column history.database_rollup.seconds is 'seconds that backend_seconds covers';
comment on column history.database_rollup.backend_seconds is 'integral of connections over time; divide by seconds for the average';
comment on column history.database_rollup.samples is 'stored samples in the bucket; 0: only a size was measured';
comment on column history.database_rollup.backends_min is 'fewest connections in a sample; null: shared objects, or no sample';
comment on column history.database_rollup.backends_max is 'most connections in a sample; null as backends_min';
comment on column history.database_rollup.backends_last is 'connections in the newest sample; null as backends_min';
comment on column history.database_rollup.last_sample_at is 'the newest sample of the bucket; null: none';
comment on column history.database_rollup.xact_commit is 'commits in the bucket; the counters that follow are sums likewise, null where the server does not count them';
comment on column history.database_rollup.size_bytes is 'newest size of the bucket; null: none was measured in it';
comment on column history.database_rollup.size_at is 'when size_bytes was measured';
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
       r.backends_last as connections_last,
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

create table history.database_revision (
    server_id bigint not null primary key,
    revision  bigint not null
) with (fillfactor = 50);
comment on table history.database_revision is 'changes with all that is written of a server''s databases: an answer of the same revision still holds';
comment on column history.database_revision.revision is 'counts the transactions that wrote something';

create table history.disk_rollup (
    server_id      bigint      not null,
    bucket         timestamptz not null,
    mount_point    text        not null,
    samples        integer     not null,
    last_sample_at timestamptz not null,
    total_bytes    bigint,
    free_bytes     bigint,
    free_bytes_min bigint,
    inodes_free    bigint,
    primary key (server_id, mount_point, bucket)
) partition by range (bucket);
comment on table history.disk_rollup is 'disk_usage by hour (UTC), grown with every stored sample';
comment on column history.disk_rollup.bucket is 'start of the hour, UTC';
comment on column history.disk_rollup.samples is 'stored samples in the hour';
comment on column history.disk_rollup.last_sample_at is 'the newest of them';
comment on column history.disk_rollup.total_bytes is 'of the newest sample; null: unknown';
comment on column history.disk_rollup.free_bytes is 'of the newest sample; null: unknown';
comment on column history.disk_rollup.free_bytes_min is 'least of the hour';
comment on column history.disk_rollup.inodes_free is 'of the newest sample; null: unknown';

create view report.disk_rollup as
select r.server_id,
       s.name as server,
       r.bucket as "time",
       r.mount_point,
       f.device,
       f.uses,
       r.total_bytes,
       r.free_bytes,
       r.free_bytes_min,
       r.inodes_free
  from history.disk_rollup r
  join pgam.server s on s.id = r.server_id
  left join history.file_system f on f.server_id = r.server_id and f.mount_point = r.mount_point;
comment on view report.disk_rollup is 'how full the file systems of each server were, by hour';

grant select on report.disk_rollup to pgam_read;

-- What was sampled before there were rollups of databases. Of disks there was
-- nothing.

do $$
declare
    oldest timestamptz;
    newest timestamptz;
    lower  timestamptz;
begin
    set local timezone = 'UTC';
    select min(x.sampled_at), max(x.sampled_at)
      into oldest, newest
      from (select sampled_at from history.database_stat
             union all
            select sampled_at from history.database_size) x;
    for lower in select generate_series(date_trunc('month', oldest), newest, interval '1 month') loop
        execute format('create table history.database_rollup_hour_p%s partition of history.database_rollup
                        for values from (3600, %L) to (3600, %L) with (fillfactor = 80)',
                       to_char(lower, 'YYYYMM'), lower, lower + interval '1 month');
    end loop;
    for lower in select generate_series(date_trunc('year', oldest), newest, interval '1 year') loop
        execute format('create table history.database_rollup_4hour_p%1$s partition of history.database_rollup
                        for values from (14400, %2$L) to (14400, %3$L) with (fillfactor = 80);
                        create table history.database_rollup_day_p%1$s partition of history.database_rollup
                        for values from (86400, %2$L) to (86400, %3$L) with (fillfactor = 80)',
                       to_char(lower, 'YYYY'), lower, lower + interval '1 year');
    end loop;
end
$$;

insert into history.database_rollup (server_id, bucket, step_seconds, database_oid, seconds, backend_seconds, samples, backends_min, backends_max,
       backends_last, last_sample_at, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated,
       tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, sessions, blk_read_time_ms, blk_write_time_ms, session_time_ms,
       active_time_ms, idle_in_transaction_time_ms)
select h.server_id, date_bin('1 hour', h.sampled_at, timestamptz 'epoch') as bucket, 3600, h.database_oid,
       sum(h.held), sum(h.held * coalesce(h.before, 0)), count(*), min(h.numbackends), max(h.numbackends),
       (array_agg(h.numbackends order by h.sampled_at desc))[1], max(h.sampled_at),
       sum(h.xact_commit), sum(h.xact_rollback), sum(h.blks_read), sum(h.blks_hit), sum(h.tup_returned), sum(h.tup_fetched), sum(h.tup_inserted),
       sum(h.tup_updated), sum(h.tup_deleted), sum(h.conflicts), sum(h.temp_files), sum(h.temp_bytes), sum(h.deadlocks), sum(h.sessions),
       sum(h.blk_read_time_ms), sum(h.blk_write_time_ms), sum(h.session_time_ms), sum(h.active_time_ms), sum(h.idle_in_transaction_time_ms)
  from (select d.*,
               lag(d.numbackends) over by_database as before,
               case when d.interval_seconds is not null and lag(d.numbackends) over by_database is not null
                    then least(330, extract(epoch from d.sampled_at - lag(d.sampled_at) over by_database)::double precision)
                    else 0
               end as held
          from history.database_stat d
        window by_database as (partition by d.server_id, d.database_oid order by d.sampled_at)) h
 group by h.server_id, bucket, h.database_oid;

insert into history.database_rollup as r (server_id, bucket, step_seconds, database_oid, seconds, backend_seconds, samples, size_bytes, size_at)
select distinct on (z.server_id, z.database_oid, bucket)
       z.server_id, date_bin('1 hour', z.sampled_at, timestamptz 'epoch') as bucket, 3600, z.database_oid, 0, 0, 0, z.size_bytes, z.sampled_at
  from history.database_size z
 where z.size_bytes is not null
 order by z.server_id, z.database_oid, bucket, z.sampled_at desc
on conflict (server_id, step_seconds, database_oid, bucket) do update
   set size_bytes = excluded.size_bytes, size_at = excluded.size_at;

insert into history.database_rollup (server_id, bucket, step_seconds, database_oid, seconds, backend_seconds, samples, backends_min, backends_max,
       backends_last, last_sample_at, size_bytes, size_at, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched,
       tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, sessions, blk_read_time_ms, blk_write_time_ms,
       session_time_ms, active_time_ms, idle_in_transaction_time_ms)
select h.server_id, date_bin(w.step * interval '1 second', h.bucket, timestamptz 'epoch') as bucket, w.step, h.database_oid,
       sum(h.seconds), sum(h.backend_seconds), sum(h.samples), min(h.backends_min), max(h.backends_max),
       (array_agg(h.backends_last order by h.last_sample_at desc nulls last))[1], max(h.last_sample_at),
       (array_agg(h.size_bytes order by h.size_at desc nulls last))[1], max(h.size_at),
       sum(h.xact_commit), sum(h.xact_rollback), sum(h.blks_read), sum(h.blks_hit), sum(h.tup_returned), sum(h.tup_fetched), sum(h.tup_inserted),
       sum(h.tup_updated), sum(h.tup_deleted), sum(h.conflicts), sum(h.temp_files), sum(h.temp_bytes), sum(h.deadlocks), sum(h.sessions),
       sum(h.blk_read_time_ms), sum(h.blk_write_time_ms), sum(h.session_time_ms), sum(h.active_time_ms), sum(h.idle_in_transaction_time_ms)
  from history.database_rollup h
 cross join (values (14400), (86400)) as w (step)
 where h.step_seconds = 3600
 group by h.server_id, date_bin(w.step * interval '1 second', h.bucket, timestamptz 'epoch'), w.step, h.database_oid;

---- create above / drop below ----

drop view report.disk_rollup;
drop table history.disk_rollup;
drop table history.database_revision;
drop view report.database_rollup;
drop table history.database_rollup;
