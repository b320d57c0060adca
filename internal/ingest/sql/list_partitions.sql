/* pgam:partitions */
-- inhdetachpending exists from PostgreSQL 14 on.
select c.relname,
       case when i.inhrelid is null then 'detached'
            when (to_jsonb(i) ->> 'inhdetachpending')::boolean then 'detaching'
            when pg_catalog.obj_description(c.oid, 'pg_class') = @late then 'attached late'
            else 'attached'
       end
  from pg_catalog.pg_class c
  left join pg_catalog.pg_inherits i on i.inhrelid = c.oid
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'
   and (i.inhrelid is not null or pg_catalog.obj_description(c.oid, 'pg_class') = @expired)
