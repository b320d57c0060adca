/* pgam:events */
-- The server's events and the monitor's are each read by the key, a page at most.
select at, monitor, kind, subject, old, new, detail
  from unnest(array[@server_id::bigint, 0], array[false, true]) as s (id, monitor)
 cross join lateral (
       select e.at, e.kind, e.subject, e.old, e.new, e.detail
         from history.event e
        where e.server_id = s.id
          and e.at >= @from
          and e.at < @to
          and (@kinds::text[] is null or e.kind = any (@kinds))
          and (@before_at::timestamptz is null
               or (e.at, s.monitor, e.kind collate "C", e.subject collate "C")
                  < (@before_at, @before_monitor, @before_kind collate "C", @before_subject collate "C"))
        order by e.at desc, e.kind collate "C" desc, e.subject collate "C" desc
        limit @most) e
 order by at desc, monitor desc, kind collate "C" desc, subject collate "C" desc
 limit @most
