/* pgam:horizon */
select distinct on (h.holder)
       h.holder,
       h.name,
       h.age
  from (select 'prepared_transaction' as holder, p.gid as name, pg_catalog.age(p.transaction)::int8 as age
          from pg_catalog.pg_prepared_xact() p
         union all
        select 'replication_slot', s.slot_name::text,
               greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin))::int8
          from pg_catalog.pg_get_replication_slots() s
         where s.xmin is not null
            or s.catalog_xmin is not null
         union all
        select 'standby', coalesce(nullif(a.application_name, ''), a.client_addr::text, a.pid::text), pg_catalog.age(a.backend_xmin)::int8
          from pg_catalog.pg_stat_get_wal_senders() w
         cross join lateral pg_catalog.pg_stat_get_activity(w.pid) a
         where a.backend_xmin is not null) h
 order by h.holder, h.age desc, h.name
