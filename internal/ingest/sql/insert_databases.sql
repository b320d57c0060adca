/* pgam:flush */
-- What is known from a later look stays. One that is new is as old as the look, if
-- there was a look before.
insert into history.database as d (
       server_id, oid, name, is_template, allow_connect, encoding, created_at, first_seen_at, last_seen_at)
select @server_id, n.oid, n.name, n.is_template, n.allow_connect, n.encoding,
       case when @listed_before and not exists (select from history.database o where o.server_id = @server_id and o.oid = n.oid)
            then @at::timestamptz end,
       @at, @at
  from unnest(@oids::oid[], @names::text[], @templates::boolean[], @allowed::boolean[], @encodings::text[])
       as n (oid, name, is_template, allow_connect, encoding)
on conflict (server_id, oid, name) do update
   set is_template = excluded.is_template,
       allow_connect = excluded.allow_connect,
       encoding = excluded.encoding,
       last_seen_at = excluded.last_seen_at,
       dropped_at = case when d.dropped_at > excluded.last_seen_at then d.dropped_at end
 where d.last_seen_at < excluded.last_seen_at
