/* pgam:live_locations; data_directory is not shown to a role that is not a superuser */
with data as (
  select s.setting as path
    from pg_catalog.pg_settings s
   where s.name = 'data_directory'
)
select 'data' as use,
       d.path
  from data d
 union all
select 'wal',
       d.path || '/pg_xlog'
  from data d
 union all
(select 'tablespace:' || t.spcname::text,
        pg_catalog.pg_tablespace_location(t.oid)
   from pg_catalog.pg_tablespace t
  where t.spcname not in ('pg_default', 'pg_global')
  order by t.oid
  limit 250)
