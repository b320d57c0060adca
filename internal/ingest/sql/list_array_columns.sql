/* pgam:partitions */
select string_agg(format('alter column %I set statistics 0', a.attname), ', ')
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
 where a.attrelid = to_regclass(@table)
   and a.attnum > 0
   and not a.attisdropped
   and t.typcategory = 'A'
