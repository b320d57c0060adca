/* pgam:live_connections, a role without privileges sees no backend_type */
select coalesce(a.state, 'null') as state,
       count(*) as connections
  from pg_catalog.pg_stat_activity a
 where coalesce(a.backend_type, 'client backend') = 'client backend'
   and a.datname is not null
   and a.pid <> pg_catalog.pg_backend_pid()
   and not (a.usename is not distinct from current_user and a.application_name like 'pgam-%')
 group by 1
