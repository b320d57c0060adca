/* pgam:lock_waits */
select l.pid,
       l.locktype,
       l.mode,
       l.database,
       l.relation
  from pg_catalog.pg_lock_status() l
 where not l.granted
   and l.pid = any ($1::int4[])
