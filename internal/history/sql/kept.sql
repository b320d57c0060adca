/* pgam:kept */
-- Since when each table is kept, by step where it has several: the start of its
-- oldest partition. One that has a partition for all times is not limited.
select p.relname || coalesce('/' || b.bound[1], ''), min(b.bound[2]::timestamptz)
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class c on c.oid = i.inhrelid
  join pg_catalog.pg_class p on p.oid = i.inhparent
 cross join lateral regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), $$^FOR VALUES FROM \((?:(\d+), )?'([^']+)'\)$$) as b (bound)
 where c.relnamespace = 'history'::regnamespace
   and c.relpartbound is not null
 group by 1
having bool_and(b.bound is not null)
