/* pgam:flush */
-- A list of databases is complete: a name that is not in it was dropped or renamed.
update history.database d
   set dropped_at = @at
 where d.server_id = @server_id
   and d.dropped_at is null
   and d.last_seen_at < @at
