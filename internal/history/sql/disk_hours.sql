/* pgam:disks */
-- Hours put together by a step: the newest, and the least.
select u.mount_point, f.device, f.uses, b.start, (array_agg(u.total_bytes order by u.bucket desc))[1],
       (array_agg(u.free_bytes order by u.bucket desc))[1], min(u.free_bytes_min), (array_agg(u.inodes_free order by u.bucket desc))[1]
  from history.disk_rollup u
 cross join lateral (select date_bin(@step::interval, u.bucket, timestamptz 'epoch') as start) b
  left join history.file_system f on f.server_id = u.server_id and f.mount_point = u.mount_point
 where u.server_id = @server_id
   and u.bucket >= @from
   and u.bucket < @to
 group by u.mount_point, f.device, f.uses, b.start
 order by u.mount_point collate "C", b.start
