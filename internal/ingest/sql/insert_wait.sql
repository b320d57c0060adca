/* pgam:flush */
insert into history.wait as w (server_id, key, class, state, wait_event_type, wait_event, last_seen_on)
values (@server_id, @key, @class, @state, @wait_event_type, @wait_event, @day)
on conflict (server_id, key) do update
   set last_seen_on = excluded.last_seen_on
 where w.last_seen_on < excluded.last_seen_on
