/* pgam:live_prepared */
select x.gid,
       x.database::text as database,
       x.owner::text as "user",
       pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - x.prepared) as age
  from pg_catalog.pg_prepared_xacts x
 where x.gid = any ($1)
