/* pgam:fleet */
select s.id, t.samples::float8 / (t.ticks_ok + t.ticks_degraded)
  from pgam.server s
  join history.activity_total t on t.server_id = s.id
 where s.deleted_at is null
   and t.step_seconds = 3600
   and t.bucket = @hour
   and t.ticks_ok + t.ticks_degraded > 0
