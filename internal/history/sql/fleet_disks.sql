/* pgam:fleet */
-- The newest sample of each file system, and how it changed from hour to hour.
select f.server_id, f.mount_point, u.sampled_at, u.free_bytes, u.total_bytes, t.slope
  from history.file_system f
  join pgam.server s on s.id = f.server_id
 cross join lateral (
        select n.sampled_at, n.free_bytes, n.total_bytes
          from history.disk_usage n
         where n.server_id = f.server_id
           and n.mount_point = f.mount_point
           and n.sampled_at >= f.last_seen_at
           and n.sampled_at > @stands
           and n.free_bytes is not null
           and n.total_bytes > 0
         order by n.sampled_at desc
         limit 1) u
 cross join lateral (
        select case when max(r.last_sample_at) - min(r.last_sample_at) >= interval '1 hour'
                    then regr_slope(r.free_bytes, extract(epoch from r.last_sample_at - u.sampled_at)::double precision)
               end as slope
          from history.disk_rollup r
         where r.server_id = f.server_id
           and r.mount_point = f.mount_point
           and r.bucket > @trend
           and r.free_bytes is not null) t
 where s.deleted_at is null
   and f.last_seen_at > @stands
