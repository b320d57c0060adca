/* pgam:databases */
select database_oid, bucket, samples, seconds, backend_seconds, counted_seconds, backends_min, backends_max, backends_last, last_sample_at,
       size_bytes, size_at, xact_commit, xact_rollback, blks_read, blks_hit, temp_bytes, deadlocks
  from history.database_rollup
 where server_id = @server_id
   and step_seconds = @step_seconds
   and database_oid = any (@oids)
   and bucket >= @from
   and bucket < @to
 order by bucket
