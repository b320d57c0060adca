/* pgam:compact */
-- What is not in the inventory is found by its rows; 0 is shared objects.
select d.oid
  from history.database d
 where d.server_id = @server_id
 union
select s.database_oid
  from history.database_stat s
 where s.server_id = @server_id
   and s.planned_at >= @from
   and s.planned_at < @to
 union
select 0
