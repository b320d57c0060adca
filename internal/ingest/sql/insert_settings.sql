/* pgam:flush */
-- What is known from a later look stays.
insert into history.setting as s (server_id, name, value, since)
select @server_id, n.name, n.value, @at
  from unnest(@names::text[], @values::text[]) as n (name, value)
on conflict (server_id, name) do update
   set value = excluded.value,
       since = excluded.since
 where s.since < excluded.since
