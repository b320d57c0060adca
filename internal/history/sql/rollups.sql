/* pgam:rollups */
select n.bucket, n.keys, n.key_samples, n.key_peaks, n.tail_keys, n.tail_samples
  from unnest(@step::integer[], @from::timestamptz[], @to::timestamptz[]) as r (step, lo, hi)
  join history.activity_rollup n
    on n.server_id = @server_id
   and n.step_seconds = r.step
   and n.dimension = @dimension
   and n.bucket >= r.lo
   and n.bucket < r.hi
 order by n.bucket
