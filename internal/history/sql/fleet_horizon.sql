/* pgam:fleet */
-- What beside sessions keeps rows from being vacuumed.
select server_id, max(xmin_age)
  from history.horizon
 where server_id in (select id from pgam.server where deleted_at is null)
   and sampled_at > @from
   and sampled_at <= @to
 group by server_id
