/* pgam:query_keys */
select key, query_id
  from history.query
 where server_id = @server_id
   and query_id = any (@query_ids::bigint[])
