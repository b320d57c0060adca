/* pgam:pulse; connections are what has a client's port and is no walsender, which
   have places of their own: only of sessions that the role may not see is the
   database all that is told */
select pg_catalog.count(*)::int4 as backends,
       (pg_catalog.count(*) filter (
        where (pg_catalog.pg_stat_get_backend_client_port(b.id) is not null
               or pg_catalog.pg_stat_get_backend_start(b.id) is null and pg_catalog.pg_stat_get_backend_dbid(b.id) > 0)
          and pg_catalog.pg_stat_get_backend_pid(b.id) <> all (array(select s.pid from pg_catalog.pg_stat_get_wal_senders() s))))::int4 as connections,
       pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) as next_xid,
       pg_catalog.clock_timestamp() as clock
  from pg_catalog.pg_stat_get_backend_idset() b (id)
