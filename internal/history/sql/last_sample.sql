/* pgam:last_sample */
select max(s.sampled_at)
  from unnest(@oids::oid[]) as k (oid)
 cross join lateral (
       select x.sampled_at
         from history.database_stat x
        where x.server_id = @server_id
          and x.database_oid = k.oid
          and x.planned_at > @seen_at::timestamptz - interval '1 day'
          and x.planned_at < @seen_at::timestamptz + interval '1 day'
        order by x.planned_at desc
        limit 1) s
