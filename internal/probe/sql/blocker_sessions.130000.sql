/* pgam:blocker_sessions */
select a.pid,
       a.datid,
       a.usesysid,
       a.leader_pid,
       a.backend_start,
       a.client_addr,
       a.backend_type,
       a.application_name,
       a.state,
       a.wait_event_type,
       a.wait_event
  from pg_catalog.unnest($1::int4[]) p (pid)
 cross join lateral pg_catalog.pg_stat_get_activity(p.pid) a
 where a.backend_type is not null
