/* pgam:live_signal */
select a.datname as database,
       a.usename as "user",
       a.application_name as application,
       pg_catalog.host(a.client_addr) as client_addr,
       (pg_catalog.to_jsonb(a) ->> 'leader_pid')::int4 as leader_pid, -- there is one from 13 on
       pg_catalog.quote_ident(current_user) as role,
       w.refusal,
       -- Asked only where nothing speaks against it; the pid alone would hit whoever has it now.
       case
         when w.refusal <> '' then false
         when $3 then pg_catalog.pg_terminate_backend(a.pid)
         else pg_catalog.pg_cancel_backend(a.pid)
       end as signalled
  from pg_catalog.pg_stat_activity a
  left join pg_catalog.pg_roles r on r.oid = a.usesysid
 cross join lateral (
       select case
                when a.pid = pg_catalog.pg_backend_pid() or a.application_name like 'pgam-%' then 'own'
                when a.backend_start is null and a.query = '<insufficient privilege>' then 'hidden'
                when a.backend_start is distinct from $2 then 'another'
                when a.backend_type = 'parallel worker' then 'worker'
                when a.backend_type is distinct from 'client backend' then 'background'
                when r.rolsuper and pg_catalog.current_setting('is_superuser') <> 'on' then 'superuser'
                when not pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') and not coalesce(pg_catalog.pg_has_role(r.oid, 'USAGE'), false) then 'grant'
                else ''
              end as refusal) w
 where a.pid = $1
