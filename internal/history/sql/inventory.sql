/* pgam:inventory */
-- The databases of a server; of one name, those that have or had it, under all
-- their names.
select d.oid, d.name, d.is_template, d.allow_connect, d.encoding, d.created_at, d.first_seen_at, d.last_seen_at, d.dropped_at
  from history.database d
 where d.server_id = @server_id
   and (@name::text is null
        or d.oid in (select o.oid from history.database o where o.server_id = @server_id and o.name = @name))
 order by d.name collate "C", d.first_seen_at
