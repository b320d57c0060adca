/* pgam:compact */
select key, coalesce(database_name, ''), coalesce(user_name, ''), coalesce(application_name, ''), coalesce(client_addr, ''),
       coalesce(backend_type, '')
  from history.session
 where server_id = @server_id
   and day = @day
   and key = any (@keys)
