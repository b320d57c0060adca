/* pgam:lock */
insert into history.progress as p (server_id, flushes, flushed_at)
values (@server_id, @flushes::bigint, case when @flushes::bigint > 0 then now() end)
on conflict (server_id) do update
   set flushes = p.flushes + excluded.flushes,
       flushed_at = coalesce(excluded.flushed_at, p.flushed_at)
returning flushes, compacted_until
