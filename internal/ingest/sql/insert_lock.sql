/* pgam:flush */
insert into history.lock as l (
       server_id, key, lock_type, mode, database_oid, relation_oid, relation_name, first_seen_on, last_seen_on)
values (
       @server_id, @key, @lock_type, @mode, @database_oid, @relation_oid, @relation_name, @day, @day)
on conflict (server_id, key) do update
   set relation_name = coalesce(l.relation_name, excluded.relation_name),
       last_seen_on = greatest(l.last_seen_on, excluded.last_seen_on)
 where (l.relation_name is null and excluded.relation_name is not null)
    or l.last_seen_on < excluded.last_seen_on
