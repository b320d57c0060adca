/* pgam:blocker_sessions */
select a.pid,
       a.datid,
       a.usesysid,
       null::int4 as leader_pid,
       a.backend_start,
       a.client_addr,
       case
         when w.pid is not null then 'walsender'
         when a.client_port is not null then 'client backend'
         when a.query like 'autovacuum:%' then 'autovacuum worker'
         else 'background worker'
       end as backend_type,
       a.application_name,
       a.state,
       a.wait_event_type,
       a.wait_event
  from pg_catalog.unnest($1::int4[]) p (pid)
 cross join lateral pg_catalog.pg_stat_get_activity(p.pid) a
  left join pg_catalog.pg_stat_get_wal_senders() w on w.pid = a.pid
 where a.backend_start is not null
