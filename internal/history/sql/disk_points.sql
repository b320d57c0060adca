/* pgam:disks */
select u.mount_point, f.device, f.uses, u.sampled_at, u.total_bytes, u.free_bytes, u.free_bytes as least, u.inodes_free
  from history.disk_usage u
  left join history.file_system f on f.server_id = u.server_id and f.mount_point = u.mount_point
 where u.server_id = @server_id
   and u.sampled_at >= @from
   and u.sampled_at < @to
 order by u.mount_point collate "C", u.sampled_at
