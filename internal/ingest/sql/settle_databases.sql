/* pgam:compact */
-- Rollups are right up to an instant: what was seen later is still to be done.
update history.progress p
   set databases_from = case
       when exists (select from history.database_stat s
                     where s.server_id = @server_id and s.planned_at >= @until::timestamptz - interval '330 seconds' and s.sampled_at >= @until)
         or exists (select from history.database_look l
                     where l.server_id = @server_id and l.planned_at >= @until::timestamptz - interval '330 seconds' and l.sampled_at >= @until)
         or exists (select from history.database_size z where z.server_id = @server_id and z.sampled_at >= @until)
       then @until::timestamptz end
 where p.server_id = @server_id
