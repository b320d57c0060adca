/* pgam:purge */
-- The row of history.progress goes with the server's.
select c.relname
  from pg_catalog.pg_class c
  join pg_catalog.pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'
   and a.attname = 'server_id'
   and not a.attisdropped
   and c.relname <> 'progress'
 order by c.relname
