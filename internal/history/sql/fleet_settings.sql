/* pgam:fleet */
select server_id, value::bigint
  from history.setting
 where server_id in (select id from pgam.server where deleted_at is null)
   and name = 'max_connections'
   and value ~ '^[0-9]{1,9}$'
