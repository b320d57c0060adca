/* pgam:newest_tick */
-- Now, and when the tick is due that follows the newest one that is stored; null: it
-- is not recent.
select now(),
       (select s.slot + (s.last_planned_ms + s.cadence_ms) * interval '1 millisecond'
          from history.activity_recent s
         where s.server_id = @server_id
           and s.slot > now() - interval '10 minutes'
         order by s.slot desc
         limit 1)
