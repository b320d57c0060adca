/* pgam:queries */
select key, query_id, own, case when @texts then text end
  from history.query
 where server_id = @server_id
   and key = any (@keys)
