/* pgam:database_now */
-- A database that is gone has no row after its last inventory but one: the bounds
-- keep the search from going through all of history.
select s.sampled_at, s.numbackends, s.xact_commit, z.size_bytes, z.sampled_at as size_at
  from (select @last_seen_at::timestamptz as last_seen_at) d
  left join lateral (
       select x.sampled_at, x.numbackends, x.xact_commit
         from history.database_stat x
        where x.server_id = @server_id
          and x.database_oid = @oid
          and x.planned_at > d.last_seen_at - interval '1 hour'
          and x.planned_at < d.last_seen_at + interval '1 day'
        order by x.planned_at desc
        limit 1) s on true
  left join lateral (
       select x.sampled_at, x.size_bytes
         from history.database_size x
        where x.server_id = @server_id
          and x.database_oid = @oid
          and x.sampled_at > d.last_seen_at - interval '25 hours'
          and x.sampled_at < d.last_seen_at + interval '1 day'
          and x.size_bytes is not null
        order by x.sampled_at desc
        limit 1) z on true
