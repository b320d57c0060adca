/* pgam:backend */
-- The keys of one backend, which has several where its application has several
-- names; without a start, of the last one with this pid.
select key, pid, leader_pid, backend_start, database_name, user_name, nullif(application_name, ''), client_addr, nullif(backend_type, '')
  from history.session
 where server_id = @server_id
   and day >= (@from::timestamptz at time zone 'UTC')::date
   and day <= (@to::timestamptz at time zone 'UTC')::date
   and pid = @pid
   and (@backend_start::timestamptz is null or backend_start = @backend_start::timestamptz)
   and (backend_start < @to::timestamptz) is not false
 order by backend_start desc nulls last, day desc, key
 limit 10000
