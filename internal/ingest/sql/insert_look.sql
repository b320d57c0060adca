/* pgam:flush */
insert into history.database_look as l (server_id, planned_at, sampled_at, databases)
values (@server_id, @planned_at, @sampled_at, @databases)
on conflict (server_id, planned_at) do update
   set sampled_at = excluded.sampled_at,
       databases = excluded.databases
 where l.sampled_at < excluded.sampled_at
