/* pgam:fleet_activity */
-- Sessions by wait class of all servers together. Days and hours that hold a bucket
-- which is not compacted are older than it: those are made of hours, and hours of
-- minutes and of the slots of what is not compacted. offset 0 has each server
-- looked up by itself.
with server as materialized (
select id from pgam.server where deleted_at is null),
slot as materialized (
select q.server_id, q.slot, ticks_ok + ticks_degraded + ticks_failed + ticks_skipped + ticks_missing as planned, ticks_ok + ticks_degraded as answered,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_recent q
  join server s on s.id = q.server_id
 where q.slot >= @from
   and q.slot < @to
   and not q.late),
open_hour as materialized (
select distinct server_id, date_bin('1 hour', slot, timestamptz 'epoch') as hour from slot where @grain_seconds::integer > 60),
open_day as materialized (
select distinct server_id, date_bin('1 day', hour, timestamptz 'epoch') as day from open_hour where @grain_seconds::integer > 3600),
wanted as (
select id as server_id, @grain_seconds::integer as step, @from::timestamptz as lo, @to::timestamptz as hi from server
 union all
select server_id, 3600, day, day + interval '1 day' from open_day
 union all
select server_id, 60, hour, hour + interval '1 hour' from open_hour),
part as (
select w.server_id, t.*
  from wanted w
 cross join lateral (
select t.bucket, ticks_ok + ticks_degraded + ticks_failed + ticks_skipped + ticks_missing as planned, ticks_ok + ticks_degraded as answered,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_total t
 where t.server_id = w.server_id
   and t.step_seconds = w.step
   and t.bucket >= w.lo
   and t.bucket < w.hi
offset 0) t
 where not exists (select from open_hour o where w.step = 3600 and o.server_id = w.server_id and o.hour = t.bucket)
   and not exists (select from open_day o where w.step = 86400 and o.server_id = w.server_id and o.day = t.bucket)
 union all
select w.server_id, m.*
  from wanted w
 cross join lateral (
select m.minute, ticks_ok + ticks_degraded + ticks_failed + ticks_skipped + ticks_missing as planned, ticks_ok + ticks_degraded as answered,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction
  from history.activity_minute m
 where w.step = 60
   and m.server_id = w.server_id
   and m.minute >= w.lo
   and m.minute < w.hi
offset 0) m
 union all
select * from slot),
per_server as (
select server_id, date_bin(@step, bucket, timestamptz 'epoch') as bucket, sum(planned::float8) as planned, sum(answered::float8) as answered,
       sum(cpu::float8) as cpu, sum(lock::float8) as lock, sum(lwlock::float8) as lwlock, sum(io::float8) as io,
       sum(ipc::float8) as ipc, sum(client::float8) as client, sum(timeout::float8) as timeout,
       sum(buffer::float8) as buffer, sum(extension::float8) as extension, sum(other::float8) as other,
       sum(idle_in_transaction::float8) as idle_in_transaction
  from part
 group by 1, 2)
select bucket, count(*), sum(planned), sum(answered),
       sum(cpu / answered), sum(lock / answered), sum(lwlock / answered), sum(io / answered), sum(ipc / answered),
       sum(client / answered), sum(timeout / answered), sum(buffer / answered), sum(extension / answered),
       sum(other / answered), sum(idle_in_transaction / answered)
  from per_server
 where answered > 0
 group by bucket
 order by bucket
