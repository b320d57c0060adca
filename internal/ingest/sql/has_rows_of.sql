/* pgam:partitions */
-- Whether rows of databases of some time can be there: its partition is.
select exists (
       select
         from pg_catalog.pg_inherits i
         join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'history.database_stat'::regclass
          and (c.relname = @partition or pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'))
