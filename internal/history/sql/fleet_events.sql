/* pgam:fleet */
-- The newest event of each server.
select s.id, e.at, e.kind, e.subject, e.old, e.new, e.detail
  from pgam.server s
 cross join lateral (
       select at, kind, subject, old, new, detail
         from history.event
        where server_id = s.id
          and at >= @since
          and at <= @to
        order by at desc, kind collate "C" desc, subject collate "C" desc
        limit 1) e
 where s.deleted_at is null
