/* pgam:sessions */
-- The first and the last day are for PostgreSQL to leave out partitions before it
-- begins.
select key, pid, leader_pid, backend_start, database_name, user_name, nullif(application_name, ''), client_addr, nullif(backend_type, '')
  from history.session
 where server_id = @server_id
   and day = any (@days::date[])
   and day >= @first::date
   and day <= @last::date
   and key = any (@keys)
 order by day
