/* pgam:import */
-- A row that the collector has made keeps what the collector says of it, but was
-- first seen earlier. A second import changes nothing: what it would write is there.
insert into history.database as d (server_id, oid, name, is_template, allow_connect, created_at, first_seen_at, last_seen_at, dropped_at)
values (@server_id, @oid, @name, @is_template, @allow_connect, @created_at, @first_seen_at, @last_seen_at, @dropped_at)
on conflict (server_id, oid, name) do update
   set created_at = coalesce(d.created_at, excluded.created_at),
       first_seen_at = least(d.first_seen_at, excluded.first_seen_at),
       last_seen_at = greatest(d.last_seen_at, excluded.last_seen_at),
       dropped_at = case when d.last_seen_at < excluded.last_seen_at then excluded.dropped_at
                         when d.last_seen_at = excluded.last_seen_at then coalesce(d.dropped_at, excluded.dropped_at)
                         else d.dropped_at
                    end
 where (d.created_at is null and excluded.created_at is not null)
    or d.first_seen_at > excluded.first_seen_at
    or d.last_seen_at < excluded.last_seen_at
    or (d.last_seen_at = excluded.last_seen_at and d.dropped_at is null and excluded.dropped_at is not null)
