/* pgam:flush */
insert into history.horizon (server_id, sampled_at, holder, name, xmin_age)
values (@server_id, @at, @holder, @name, @xmin_age)
on conflict (server_id, sampled_at, holder, name) do nothing
