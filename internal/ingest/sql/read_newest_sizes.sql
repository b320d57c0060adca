/* pgam:compact */
select distinct on (z.database_oid, b.bucket) z.database_oid, b.bucket, z.size_bytes, z.sampled_at
  from history.database_size z
 cross join lateral (select date_bin('10 minutes', z.sampled_at, timestamptz 'epoch') as bucket) b
 where z.server_id = @server_id
   and z.sampled_at >= @from
   and z.sampled_at < @to
   and z.size_bytes is not null
 order by z.database_oid, b.bucket, z.sampled_at desc
