/* pgam:activity, for many idle backends: only those in a transaction, those
   that wait for neither client nor main loop, WAL senders, and those that were
   seen the time before (an aborted transaction has no xact_start) are read; texts are of statements that began after those seen before, and as bytes: cut
   as text, one in the encoding of another database would be an error */
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
       a.wait_event,
       case when a.backend_type not in ('autovacuum worker', 'walsender') and v.pid is null then a.xact_start end as xact_start,
       a.query_start,
       a.state_change,
       case when v.pid is null then a.backend_xmin end as backend_xmin,
       a.query_id,
       case when a.query_id is null and (a.query_start is null or a.query_start > $3)
            then pg_catalog.substr(pg_catalog.textsend(a.query), 1, 4097) end as query
  from pg_catalog.pg_stat_get_backend_idset() b (id)
 cross join lateral pg_catalog.pg_stat_get_activity(pg_catalog.pg_stat_get_backend_pid(b.id)) a
  left join pg_catalog.pg_stat_get_progress_info('VACUUM') v on v.pid = a.pid
 where (pg_catalog.pg_stat_get_backend_xact_start(b.id) is not null
        or coalesce(pg_catalog.pg_stat_get_backend_wait_event_type(b.id), '') not in ('Client', 'Activity')
        or pg_catalog.pg_stat_get_backend_pid(b.id) = any (array(select s.pid from pg_catalog.pg_stat_get_wal_senders() s))
        or pg_catalog.pg_stat_get_backend_pid(b.id) = any ($2::int4[]))
   and a.pid <> pg_catalog.pg_backend_pid()
   and a.pid <> $1
   and a.backend_type is not null
   and coalesce(a.state, '') <> 'idle'
   and not (a.state is not distinct from 'disabled' and a.wait_event is not distinct from 'ClientRead')
   and a.wait_event_type is distinct from 'Activity'
 limit 5000
