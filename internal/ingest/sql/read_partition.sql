/* pgam:partitions */
select (to_jsonb(i) ->> 'inhdetachpending')::boolean is true as pending
  from pg_catalog.pg_inherits i
 where i.inhrelid = to_regclass(@child)
   and i.inhparent = to_regclass(@parent)
