/* pgam:upkeep */
select (select greatest(max(r.slot) + interval '15 seconds', (select max(p.compacted_until) from history.progress p))
          from history.activity_recent r),
       (select min(date_bin('10 minutes', w.at, timestamptz 'epoch')) + interval '10 minutes'
          from (select r.server_id, r.slot from history.activity_recent r
                 union all
                select p.server_id, p.databases_from from history.progress p) w (server_id, at)
         where w.at < date_bin('10 minutes', @now::timestamptz, timestamptz 'epoch')
           and not exists (select from pgam.server s where s.id = w.server_id and s.purge)),
       pg_catalog.pg_stat_get_dead_tuples('history.activity_recent'::regclass),
       pg_catalog.pg_database_size(pg_catalog.current_database())
