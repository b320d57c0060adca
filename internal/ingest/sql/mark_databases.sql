/* pgam:flush */
-- What was written changes what rollups say from the row, the look or the size
-- before it on: up to there they stay right.
update history.progress p
   set databases_from = n.since
  from (select least(
               @sampled_at::timestamptz,
               case when @looked then coalesce(
                    (select l.sampled_at
                       from history.database_look l
                      where l.server_id = @server_id
                        and l.planned_at < @planned_at
                        and l.planned_at > @planned_at::timestamptz - interval '330 seconds'
                      order by l.planned_at desc
                      limit 1),
                    @sampled_at::timestamptz - interval '330 seconds') end,
               (select min(b.sampled_at)
                  from unnest(@oids::oid[]) as n (oid)
                 cross join lateral (
                       select s.sampled_at
                         from history.database_stat s
                        where s.server_id = @server_id
                          and s.database_oid = n.oid
                          and s.planned_at < @planned_at
                          and s.planned_at >= @planned_at::timestamptz - interval '1 day'
                        order by s.planned_at desc
                        limit 1) b)) as since) n
 where p.server_id = @server_id
   and (p.databases_from is null or p.databases_from > n.since)
