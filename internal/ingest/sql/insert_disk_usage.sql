/* pgam:flush */
-- An hour has what is newest and what is least in it, whatever comes first.
with usage as (
insert into history.disk_usage (server_id, sampled_at, mount_point, total_bytes, free_bytes, inodes_total, inodes_free)
values (@server_id, @at, @mount_point, @total_bytes, @free_bytes, @inodes_total, @inodes_free)
on conflict (server_id, sampled_at, mount_point) do nothing
returning server_id, sampled_at, mount_point, total_bytes, free_bytes, inodes_free)
insert into history.disk_rollup as r (
       server_id, bucket, mount_point, last_sample_at, total_bytes, free_bytes, free_bytes_min, inodes_free)
select u.server_id, date_bin('1 hour', u.sampled_at, timestamptz 'epoch'), u.mount_point, u.sampled_at, u.total_bytes, u.free_bytes, u.free_bytes,
       u.inodes_free
  from usage u
on conflict (server_id, mount_point, bucket) do update
   set last_sample_at = greatest(r.last_sample_at, excluded.last_sample_at),
       total_bytes = case when r.last_sample_at > excluded.last_sample_at then r.total_bytes else excluded.total_bytes end,
       free_bytes = case when r.last_sample_at > excluded.last_sample_at then r.free_bytes else excluded.free_bytes end,
       free_bytes_min = least(r.free_bytes_min, excluded.free_bytes_min),
       inodes_free = case when r.last_sample_at > excluded.last_sample_at then r.inodes_free else excluded.inodes_free end
