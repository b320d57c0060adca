/* pgam:resume */
select d.oid, d.name, null::text as value
  from history.database d
 where d.server_id = @server_id
   and d.dropped_at is null
 union all
select null, s.name, s.value
  from history.setting s
 where s.server_id = @server_id
