/* pgam:last_life */
-- Of each server one look at the newest slot, and one at the newest minute.
select greatest(e.at, t.at), coalesce(e.kind = @stopped and (t.at is null or t.at <= e.at), false)
  from (select 1) one
  left join lateral (
       select at, kind
         from history.event
        where server_id = @monitor
          and at < @before
          and at > @before - make_interval(days => @days)
          and kind in (@started, @stopped)
        order by at desc, kind desc
        limit 1) e on true
  left join lateral (
       select max(greatest(r.at, m.at)) as at
         from pgam.server s
         left join lateral (
              select x.slot + x.last_planned_ms * interval '1 millisecond' as at
                from history.activity_recent x
               where x.server_id = s.id
                 and x.slot < @before
               order by x.slot desc
               limit 1) r on true
         left join lateral (
              select x.minute + x.last_planned_ms * interval '1 millisecond' as at
                from history.activity_minute x
               where x.server_id = s.id
                 and x.minute < @before
                 and x.minute > @before - make_interval(days => @days)
               order by x.minute desc
               limit 1) m on true) t on true
