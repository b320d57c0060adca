/* pgam:database_names */
select d.oid,
       d.datname
  from pg_catalog.pg_database d
 where d.oid = any ($1::oid[])
