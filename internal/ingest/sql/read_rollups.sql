/* pgam:compact */
select dimension, ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples
  from history.activity_rollup
 where server_id = @server_id
   and step_seconds = @step_seconds
   and bucket >= @from
   and bucket < @to
 order by bucket
