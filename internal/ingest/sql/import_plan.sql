/* pgam:import */
-- Nobody else's samples have rollbacks, and none of pgam's own is older than the
-- first look at the server.
select i.since,
       (select min(f.sampled_at)
          from (select distinct d.oid from history.database d where d.server_id = @server_id) k
         cross join lateral (
               select s.sampled_at
                 from history.database_stat s
                where s.server_id = @server_id
                  and s.database_oid = k.oid
                  and s.planned_at >= i.since - interval '330 seconds'
                  and s.sampled_at >= i.since
                  and s.xact_rollback is not null
                order by s.planned_at
                limit 1) f) as own_first,
       exists (select from history.database d where d.server_id = @server_id and d.last_seen_at >= i.since) as listed
  from (select min(since) as since from history.server_identity where server_id = @server_id) i
