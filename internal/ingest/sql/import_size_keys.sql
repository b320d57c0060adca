/* pgam:import */
select sampled_at, database_oid
  from history.database_size
 where server_id = @server_id
   and sampled_at between @from and @to
