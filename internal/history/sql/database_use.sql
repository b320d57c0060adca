/* pgam:database_use */
-- What databases did over whole hours: days where they lie in the range, hours at
-- its ends. Somebody was connected in a bucket in which a session began, or each
-- look saw one; before PostgreSQL 14, which counts sessions, in which any look saw
-- one: those may have been autovacuum's.
with used as (
     select u.server_id, u.database_oid, u.step_seconds, u.bucket, u.seconds, u.backend_seconds, u.counted_seconds, u.backends_max, u.last_sample_at,
            case when u.sessions is null then u.backends_max > 0 else u.sessions > 0 or u.backends_min > 0 end as connected,
            u.size_bytes, u.size_at, u.xact_commit, u.xact_rollback, u.tup_inserted, u.tup_updated, u.tup_deleted, u.sessions
       from history.database_rollup u
      where u.server_id = any (@servers)
        and u.database_oid <> 0
        and (u.step_seconds = 86400 and u.bucket >= @first_day and u.bucket < @last_day
             or u.step_seconds = 3600 and u.bucket >= @from and u.bucket < @first_day
             or u.step_seconds = 3600 and u.bucket >= @last_day and u.bucket < @to)),
     summed as (
     select server_id, database_oid, sum(seconds) as seconds, sum(backend_seconds) as backend_seconds, sum(counted_seconds) as counted_seconds,
            max(backends_max) as connections_max, max(bucket) filter (where connected) as connected_from, min(bucket) as first_bucket, sum(xact_commit) as commits, sum(xact_rollback) as rollbacks,
            sum(tup_inserted) as inserted, sum(tup_updated) as updated, sum(tup_deleted) as deleted, sum(sessions) as sessions,
            (array_agg(size_bytes order by size_at) filter (where size_bytes is not null))[1] as first_size,
            (array_agg(size_bytes order by size_at desc) filter (where size_bytes is not null))[1] as size_bytes, max(size_at) as size_at
       from used
      group by server_id, database_oid),
     -- A rename leaves the oid: the newest name counts.
     named as (
     select distinct on (d.server_id, d.oid) d.server_id, d.oid, d.name, d.is_template, d.allow_connect, d.created_at, d.dropped_at,
            min(d.first_seen_at) over (partition by d.server_id, d.oid) as first_seen_at
       from history.database d
      where d.server_id = any (@servers)
      order by d.server_id, d.oid, d.dropped_at is null desc, d.last_seen_at desc)
select n.server_id, n.oid, n.name, n.allow_connect, n.created_at, n.first_seen_at, n.dropped_at,
       coalesce(s.seconds, 0) as seconds, coalesce(s.backend_seconds, 0) as backend_seconds, coalesce(s.counted_seconds, 0) as counted_seconds,
       s.connections_max, h.connected_at, s.commits::bigint, s.rollbacks::bigint, s.inserted::bigint, s.updated::bigint, s.deleted::bigint,
       s.sessions::bigint, s.first_size, s.size_bytes, s.size_at
  from named n
  left join summed s
    on s.server_id = n.server_id
   and s.database_oid = n.oid
  -- The last hour in which somebody was. A session that stayed over midnight and left
  -- makes no day of its own: it is in the hours of the day after the one that it makes,
  -- or of the first day, where it was there before.
  left join lateral (
       select least(coalesce(u.last_sample_at, u.bucket + interval '1 hour'), u.bucket + interval '1 hour') as connected_at
         from history.database_rollup u
        where u.server_id = n.server_id
          and u.step_seconds = 3600
          and u.database_oid = n.oid
          and u.bucket >= coalesce(s.connected_from, s.first_bucket)
          and u.bucket < least(coalesce(s.connected_from, s.first_bucket) + interval '48 hours', @to)
          and case when u.sessions is null then u.backends_max > 0 else u.sessions > 0 or u.backends_min > 0 end
        order by u.bucket desc
        limit 1) h on true
 where not n.is_template
   and n.first_seen_at < @to
   and (n.dropped_at is null or n.dropped_at >= @from)
 order by n.server_id, n.name collate "C", n.oid
