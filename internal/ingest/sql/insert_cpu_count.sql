/* pgam:flush */
-- A row where there are others than before.
insert into history.cpu_count (server_id, since, cpu_count)
select @server_id, @since, @cpu_count
 where @cpu_count::integer is distinct from
       (select c.cpu_count
          from history.cpu_count c
         where c.server_id = @server_id
           and c.since <= @since
         order by c.since desc
         limit 1)
on conflict (server_id, since) do nothing
