/* pgam:compact */
insert into history.activity_rollup (
       server_id, step_seconds, dimension, bucket, ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples)
values (
       @server_id, @step_seconds, @dimension, @bucket, @ticks, @samples, @keys, @key_samples, @key_peaks, @tail_keys,
       @tail_samples)
