/* pgam:compact */
insert into history.label as l (server_id, key, dimension, text, last_seen_on)
select @server_id, n.key, n.dimension, n.text, @day
  from unnest(@keys::bigint[], @dimensions::smallint[], @texts::text[]) as n (key, dimension, text)
on conflict (server_id, key) do update
   set last_seen_on = excluded.last_seen_on
 where l.last_seen_on < excluded.last_seen_on
