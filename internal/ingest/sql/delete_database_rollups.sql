/* pgam:compact */
delete from history.database_rollup
 where server_id = @server_id
   and step_seconds = @step_seconds
   and bucket >= @from
   and bucket < @to
