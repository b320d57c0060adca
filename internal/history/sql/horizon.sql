/* pgam:horizon */
select distinct on (holder, name) holder, name, xmin_age, sampled_at
  from history.horizon
 where server_id = @server_id
   and sampled_at > @from
   and sampled_at <= @to
 order by holder, name, sampled_at desc
