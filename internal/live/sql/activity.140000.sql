/* pgam:live_activity */
select a.pid,
       a.leader_pid as leader_pid,
       a.datname as database,
       a.usename as "user",
       a.application_name as application,
       pg_catalog.host(a.client_addr) as client_addr,
       a.backend_type as backend_type,
       a.state,
       a.wait_event_type,
       a.wait_event,
       a.query_id as query_id,
       a.query,
       a.backend_start,
       pg_catalog.date_part('epoch', n.now - a.backend_start) as backend_age,
       pg_catalog.date_part('epoch', n.now - a.xact_start) as xact_age,
       pg_catalog.date_part('epoch', n.now - a.query_start) as query_age,
       pg_catalog.date_part('epoch', n.now - a.state_change) as state_age,
       case when a.wait_event_type = 'Lock' then pg_catalog.pg_blocking_pids(a.pid) end as blocked_by
  from pg_catalog.pg_stat_activity a
 cross join (select pg_catalog.clock_timestamp() as now) n
 where a.pid <> pg_catalog.pg_backend_pid()
   and not (a.usename is not distinct from current_user and a.application_name like 'pgam-%')
   and ($1
        or coalesce(a.state, '') <> 'idle' and a.wait_event_type is distinct from 'Activity')
 order by a.pid
 limit 10000
