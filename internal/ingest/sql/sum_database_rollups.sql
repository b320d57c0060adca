/* pgam:compact */
-- Hours of ten minutes, or days of hours, which are all there: made anew. Floating
-- point adds up to the same only in the same order.
insert into history.database_rollup (
       server_id, step_seconds, database_oid, bucket, samples, seconds, backend_seconds, counted_seconds, backends_min, backends_max,
       backends_last, last_sample_at, size_bytes, size_at, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned,
       tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, sessions,
       blk_read_time_ms, blk_write_time_ms, session_time_ms, active_time_ms, idle_in_transaction_time_ms)
select r.server_id, @step_seconds, r.database_oid, b.bucket, sum(r.samples), sum(r.seconds order by r.bucket),
       sum(r.backend_seconds order by r.bucket), sum(r.counted_seconds order by r.bucket),
       min(r.backends_min), max(r.backends_max), (array_agg(r.backends_last order by r.last_sample_at desc nulls last))[1],
       max(r.last_sample_at), (array_agg(r.size_bytes order by r.size_at desc nulls last))[1], max(r.size_at),
       sum(r.xact_commit), sum(r.xact_rollback), sum(r.blks_read), sum(r.blks_hit), sum(r.tup_returned), sum(r.tup_fetched),
       sum(r.tup_inserted), sum(r.tup_updated), sum(r.tup_deleted), sum(r.conflicts), sum(r.temp_files), sum(r.temp_bytes),
       sum(r.deadlocks), sum(r.sessions), sum(r.blk_read_time_ms order by r.bucket), sum(r.blk_write_time_ms order by r.bucket),
       sum(r.session_time_ms order by r.bucket), sum(r.active_time_ms order by r.bucket), sum(r.idle_in_transaction_time_ms order by r.bucket)
  from history.database_rollup r
 cross join lateral (select date_bin(@step_seconds * interval '1 second', r.bucket, timestamptz 'epoch') as bucket) b
 where r.server_id = @server_id
   and r.step_seconds = @finer
   and r.bucket >= @from
   and r.bucket < @to
 group by r.server_id, r.database_oid, b.bucket
