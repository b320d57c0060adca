/* pgam:import */
select sampled_at, database_oid
  from history.database_stat
 where server_id = @server_id
   and planned_at between @from and @to
