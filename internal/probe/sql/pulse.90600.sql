/* pgam:pulse */
select pg_catalog.count(*)::int4 as backends,
       (pg_catalog.count(*) filter (where pg_catalog.pg_stat_get_backend_dbid(b.id) > 0))::int4 as connected,
       pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) as next_xid
  from pg_catalog.pg_stat_get_backend_idset() b (id)
