/* pgam:import */
update history.database
   set created_at = @created_at
 where server_id = @server_id
   and oid = @oid
   and name = @name
   and created_at is null
