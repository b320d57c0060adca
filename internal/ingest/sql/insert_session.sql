/* pgam:flush */
insert into history.session as s (
       server_id, day, key, pid, backend_start, database_oid, database_name, user_oid, user_name, application_name, client_addr,
       backend_type, leader_pid)
values (
       @server_id, @day, @key, @pid, @backend_start, @database_oid, @database_name, @user_oid, @user_name, @application_name, @client_addr,
       @backend_type, @leader_pid)
on conflict (server_id, day, key) do update
   set database_name = coalesce(s.database_name, excluded.database_name),
       user_name = coalesce(s.user_name, excluded.user_name)
 where (s.database_name is null and excluded.database_name is not null)
    or (s.user_name is null and excluded.user_name is not null)
