/* pgam:locks */
select key, lock_type, mode, relation_name, relation_oid, database_oid
  from history.lock
 where server_id = @server_id
   and key = any (@keys)
