/* pgam:purge */
select c.relname
  from pg_catalog.pg_class c
  join pg_catalog.pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'
   and a.attname = 'server_id'
   and not a.attisdropped
 order by c.relname
