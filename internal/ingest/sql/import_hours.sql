/* pgam:import */
select database_oid, bucket, last_sample_at
  from history.database_rollup
 where server_id = @server_id
   and step_seconds = 3600
   and bucket > @from::timestamptz - interval '1 hour'
   and bucket <= @to
   and last_sample_at is not null
