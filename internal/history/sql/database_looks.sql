/* pgam:databases */
select sampled_at
  from history.database_look
 where server_id = @server_id
   and planned_at >= @from
   and planned_at < @to
 order by sampled_at
