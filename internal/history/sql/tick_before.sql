/* pgam:tick_before */
-- The last tick before an instant, and the interval in force then.
select n.planned, n.cadence_ms
  from ((
select t.bucket + t.last_planned_ms * interval '1 millisecond' as planned, t.cadence_ms
  from history.activity_total t
 where t.server_id = @server_id
   and t.step_seconds = 3600
   and t.bucket < date_bin('1 hour', @at, timestamptz 'epoch')
 order by t.bucket desc
 limit 1)
 union all (
select m.minute + m.last_planned_ms * interval '1 millisecond', m.cadence_ms
  from history.activity_minute m
 where m.server_id = @server_id
   and m.minute < date_bin('1 minute', @at, timestamptz 'epoch')
 order by m.minute desc
 limit 1)
 union all (
select s.slot + s.last_planned_ms * interval '1 millisecond', s.cadence_ms
  from history.activity_recent s
 where s.server_id = @server_id
   and s.slot < date_bin('15 seconds', @at, timestamptz 'epoch')
   and not s.late
 order by s.slot desc
 limit 1)
 union all (
select k.bucket + u.planned_ms * interval '1 millisecond', u.cadence_ms
  from (select bucket, tick_planned_ms, tick_cadence_ms
          from history.activity
         where server_id = @server_id
           and bucket = date_bin('10 minutes', @at, timestamptz 'epoch')
         union all
        select date_bin('10 minutes', s.slot, timestamptz 'epoch'), s.tick_planned_ms, s.tick_cadence_ms
          from history.activity_recent s
         where s.server_id = @server_id
           and s.slot = date_bin('15 seconds', @at, timestamptz 'epoch')
           and not exists (
               select
                 from history.activity a
                where a.server_id = s.server_id
                  and a.bucket = date_bin('10 minutes', @at, timestamptz 'epoch'))) k
 cross join lateral unnest(k.tick_planned_ms, k.tick_cadence_ms) as u (planned_ms, cadence_ms)
 where k.bucket + u.planned_ms * interval '1 millisecond' < @at
 order by k.bucket + u.planned_ms * interval '1 millisecond' desc
 limit 1)) n
 order by n.planned desc
 limit 1
