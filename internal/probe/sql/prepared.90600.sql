/* pgam:prepared, which prepared transactions hold what sessions wait for: their
   locks have no pid, and are those with the lock on the transaction's own id */
with locks as (
  select *
    from pg_catalog.pg_lock_status()
), held as (
  select l.*,
         x.gid,
         x.prepared,
         x.ownerid,
         x.dbid
    from locks l
    join locks o on o.virtualtransaction = l.virtualtransaction and o.pid is null and o.granted and o.locktype = 'transactionid'
    join pg_catalog.pg_prepared_xact() x on x.transaction = o.transactionid
   where l.pid is null
     and l.granted
)
select distinct w.pid,
       w.mode,
       h.mode as held,
       h.gid,
       h.prepared,
       h.ownerid,
       h.dbid
  from locks w
  join held h on h.locktype = w.locktype
             and h.database is not distinct from w.database
             and h.relation is not distinct from w.relation
             and h.page is not distinct from w.page
             and h.tuple is not distinct from w.tuple
             and h.virtualxid is not distinct from w.virtualxid
             and h.transactionid is not distinct from w.transactionid
             and h.classid is not distinct from w.classid
             and h.objid is not distinct from w.objid
             and h.objsubid is not distinct from w.objsubid
 where not w.granted
   and w.pid = any ($1::int4[])
 limit 5000
