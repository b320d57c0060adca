/* pgam:rollups */
-- offset 0 has each stretch looked up by itself.
select n.bucket, n.dimension, n.keys, n.key_samples, n.key_peaks, n.tail_keys, n.tail_samples
  from unnest(@step::integer[], @from::timestamptz[], @to::timestamptz[]) as r (step, lo, hi)
 cross join unnest(@dimensions::smallint[]) as d (dimension)
 cross join lateral (
select a.bucket, a.dimension, a.keys, a.key_samples, a.key_peaks, a.tail_keys, a.tail_samples
  from history.activity_rollup a
 where a.server_id = @server_id
   and a.step_seconds = r.step
   and a.dimension = d.dimension
   and a.bucket >= r.lo
   and a.bucket < r.hi
offset 0) n
 order by n.bucket
