/* pgam:crowd, of the connections that pulse counts */
select a.usesysid,
       a.application_name,
       pg_catalog.count(*)::int4 as connections
  from pg_catalog.pg_stat_get_activity(null) a
 where a.backend_type = 'client backend'
 group by 1, 2
 order by 3 desc, 1, 2
 limit 3
