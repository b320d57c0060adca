/* pgam:storage */
-- The catalog and the sizes of files, never the tables. A size is null when the
-- table was dropped meanwhile.
select c.relname::text as name,
       coalesce(p.relname::text, '') as parent,
       case when c.reltuples > 0 then c.reltuples::bigint else pg_catalog.pg_stat_get_live_tuples(c.oid) end as rows,
       coalesce(pg_catalog.pg_relation_size(c.oid, 'main') + pg_catalog.pg_relation_size(c.oid, 'fsm') + pg_catalog.pg_relation_size(c.oid, 'vm')
                + pg_catalog.pg_relation_size(c.oid, 'init'), 0) as heap,
       coalesce(pg_catalog.pg_indexes_size(c.oid), 0) as index,
       coalesce(pg_catalog.pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) as toast
  from pg_catalog.pg_class c
  left join pg_catalog.pg_inherits i on i.inhrelid = c.oid
  left join pg_catalog.pg_class p on p.oid = i.inhparent
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'
