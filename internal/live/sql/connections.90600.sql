/* pgam:live_connections, a role without privileges sees neither port nor start */
select coalesce(a.state, 'null') as state,
       count(*) as connections
  from pg_catalog.pg_stat_activity a
 where a.datname is not null
   and (a.client_port is not null or a.backend_start is null)
   and a.pid <> all (array(select s.pid from pg_catalog.pg_stat_get_wal_senders() s))
   and a.pid <> pg_catalog.pg_backend_pid()
   and not (a.usename is not distinct from current_user and a.application_name like 'pgam-%')
 group by 1
