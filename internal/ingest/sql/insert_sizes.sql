/* pgam:flush */
insert into history.database_size (server_id, sampled_at, database_oid, size_bytes, duration_ms, reason)
select @server_id, n.sampled_at, n.database_oid, n.size_bytes, n.duration_ms, n.reason
  from unnest(@sampled_at::timestamptz[], @database_oid::oid[], @size_bytes::bigint[], @duration_ms::integer[], @reason::smallint[])
       as n (sampled_at, database_oid, size_bytes, duration_ms, reason)
on conflict (server_id, sampled_at, database_oid) do nothing
