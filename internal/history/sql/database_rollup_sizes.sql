/* pgam:sizes */
select database_oid, size_at, size_bytes
  from history.database_rollup
 where server_id = @server_id
   and step_seconds = @step_seconds
   and database_oid = any (@oids)
   and bucket >= @from
   and bucket < @to
   and size_bytes is not null
 order by bucket
