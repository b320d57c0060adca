/* pgam:resume */
select i.since, i.version_num, i.version, coalesce(i.system_identifier, 0) as system_identifier, coalesce(i.timeline_id, 0) as timeline_id,
       i.postmaster_start, i.in_recovery, i.checkpointer_start,
       (select max(d.last_seen_at) from history.database d where d.server_id = @server_id) as listed_at,
       (select max(z.sampled_at) from history.database_size z
         where z.server_id = @server_id and z.sampled_at > now() - interval '8 days') as sized_at
  from (select @server_id::bigint as id) s
  left join lateral (
       select x.since, x.version_num, x.version, x.system_identifier, x.timeline_id, x.postmaster_start, x.in_recovery, x.checkpointer_start
         from history.server_identity x
        where x.server_id = s.id
        order by x.since desc
        limit 1) i on true
