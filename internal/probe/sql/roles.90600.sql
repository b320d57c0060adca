/* pgam:roles */
select r.oid,
       r.rolname
  from pg_catalog.pg_roles r
 where r.oid = any ($1::oid[])
