/* pgam:fleet */
select s.id, i.version, i.in_recovery, c.cpu_count
  from pgam.server s
 cross join lateral (
       select version, in_recovery
         from history.server_identity
        where server_id = s.id
        order by since desc
        limit 1) i
  left join lateral (
       select cpu_count
         from history.cpu_count
        where server_id = s.id
        order by since desc
        limit 1) c on true
 where s.deleted_at is null
