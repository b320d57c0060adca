/* pgam:fleet */
select s.id, i.version, i.in_recovery
  from pgam.server s
 cross join lateral (
       select version, in_recovery
         from history.server_identity
        where server_id = s.id
        order by since desc
        limit 1) i
 where s.deleted_at is null
