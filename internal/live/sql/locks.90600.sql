/* pgam:live_locks */
select l.pid,
       l.locktype as type,
       l.mode,
       nullif(l.database, 0::pg_catalog.oid) as database_oid,
       l.relation as relation_oid,
       (select pg_catalog.format('%I.%I', n.nspname, c.relname)
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.oid = l.relation
           and l.database in (0::pg_catalog.oid, (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))
       ) as relation,
       array(
        select x.gid
          from pg_catalog.pg_locks h
          join pg_catalog.pg_locks t on t.virtualtransaction = h.virtualtransaction
           and t.pid is null
           and t.locktype = 'transactionid'
          join pg_catalog.pg_prepared_xacts x on x.transaction::text = t.transactionid::text
         where h.granted
           and h.pid is null
           and h.locktype = l.locktype
           and h.database is not distinct from l.database
           and h.relation is not distinct from l.relation
           and h.page is not distinct from l.page
           and h.tuple is not distinct from l.tuple
           and h.virtualxid is not distinct from l.virtualxid
           and h.transactionid::text is not distinct from l.transactionid::text
           and h.classid is not distinct from l.classid
           and h.objid is not distinct from l.objid
           and h.objsubid is not distinct from l.objsubid
         group by 1
         order by 1)::text[] as transactions
  from pg_catalog.pg_locks l
 where not l.granted
   and l.pid = any ($1)
