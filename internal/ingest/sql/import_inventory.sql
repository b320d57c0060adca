/* pgam:import */
select oid, name, is_template, allow_connect, created_at, first_seen_at, last_seen_at, dropped_at
  from history.database
 where server_id = @server_id
 order by first_seen_at, name collate "C"
