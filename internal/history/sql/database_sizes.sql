/* pgam:sizes */
select database_oid, sampled_at, size_bytes
  from history.database_size
 where server_id = @server_id
   and database_oid = any (@oids)
   and sampled_at >= @from
   and sampled_at < @to
   and size_bytes is not null
 order by sampled_at
