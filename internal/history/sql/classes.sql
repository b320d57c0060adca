/* pgam:classes */
-- Session samples by wait class of some stretches, as sums.sql has their ledger.
select n.start, n.answered, n.max_sessions, n.cpu, n.lock, n.lwlock, n.io, n.ipc, n.client, n.timeout, n.buffer, n.extension, n.other,
       n.idle_in_transaction
  from unnest(@step::integer[], @from::timestamptz[], @to::timestamptz[]) as r (step, lo, hi)
 cross join lateral (
select t.bucket as start, ticks_ok + ticks_degraded as answered, max_sessions,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_total t
 where t.server_id = @server_id
   and t.step_seconds = r.step
   and t.bucket >= r.lo
   and t.bucket < r.hi
 union all
select m.minute, ticks_ok + ticks_degraded, max_sessions,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_minute m
 where r.step = 60
   and m.server_id = @server_id
   and m.minute >= r.lo
   and m.minute < r.hi
 union all
select s.slot, ticks_ok + ticks_degraded, max_sessions,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_recent s
 where r.step = 60
   and s.server_id = @server_id
   and s.slot >= r.lo
   and s.slot < r.hi
   and not s.late) n
