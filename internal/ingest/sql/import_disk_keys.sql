/* pgam:import */
select sampled_at, 0::oid as database_oid
  from history.disk_usage
 where server_id = @server_id
   and sampled_at between @from and @to
   and mount_point = @mount_point
