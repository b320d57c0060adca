/* pgam:fleet_minutes */
-- Average sessions of each server by minute; of what is not compacted, from its
-- slots.
select s.id, n.minute, sum(n.sessions::float8) / sum(n.answered)
  from pgam.server s
 cross join lateral (
select m.minute, ticks_ok + ticks_degraded as answered,
       cpu + lock + lwlock + io + ipc + client + timeout + buffer + extension + other + idle_in_transaction as sessions
  from history.activity_minute m
 where m.server_id = s.id
   and m.minute >= @from
   and m.minute < @to
 union all
select date_bin('1 minute', q.slot, timestamptz 'epoch'), ticks_ok + ticks_degraded,
       cpu + lock + lwlock + io + ipc + client + timeout + buffer + extension + other + idle_in_transaction
  from history.activity_recent q
 where q.server_id = s.id
   and q.slot >= @from
   and q.slot < @to
   and not q.late
offset 0) n
 where s.deleted_at is null
 group by s.id, n.minute
having sum(n.answered) > 0
