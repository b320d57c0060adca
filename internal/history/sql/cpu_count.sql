/* pgam:history */
-- As of an instant; before the first look as that one says.
select cpu_count
  from history.cpu_count
 where server_id = @server_id
 order by (since <= @at) desc,
          case when since <= @at then -extract(epoch from since) else extract(epoch from since) end
 limit 1
