/* pgam:disks_now */
-- The newest sample of a file system is not older than the file system itself was
-- seen. The bounds without columns are for PostgreSQL to leave out partitions
-- before it begins.
select f.mount_point, f.device, f.source, f.uses, u.sampled_at, u.total_bytes, u.free_bytes, u.inodes_total, u.inodes_free, t.slope
  from history.file_system f
 cross join lateral (
       select n.sampled_at, n.total_bytes, n.free_bytes, n.inodes_total, n.inodes_free
         from history.disk_usage n
        where n.server_id = @server_id
          and n.mount_point = f.mount_point
          and n.sampled_at >= f.last_seen_at
          and n.sampled_at > @since
        order by n.sampled_at desc
        limit 1) u
 cross join lateral (
       select case when max(n.sampled_at) - min(n.sampled_at) >= @least::interval
                   then regr_slope(n.free_bytes, extract(epoch from n.sampled_at - u.sampled_at)::double precision)
              end as slope
         from history.disk_usage n
        where n.server_id = @server_id
          and n.mount_point = f.mount_point
          and n.sampled_at > @since::timestamptz - @over::interval
          and n.sampled_at > u.sampled_at - @over::interval
          and n.sampled_at <= u.sampled_at
          and n.free_bytes is not null) t
 where f.server_id = @server_id
   and f.last_seen_at > @since
 order by f.mount_point collate "C"
