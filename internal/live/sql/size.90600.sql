/* pgam:live_size */
select pg_catalog.pg_database_size(d.oid)
  from pg_catalog.pg_database d
 where d.datname = $1
