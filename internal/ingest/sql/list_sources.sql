/* pgam:compact */
select slot, null::integer as part, (extract(epoch from slot - @from) * 1000)::integer + first_planned_ms as first_ms,
       cardinality(sample_tick) + coalesce(cardinality(edge_tick), 0) as samples
  from history.activity_recent
 where server_id = @server_id
   and slot >= @from
   and slot < @to
 union all
select null, part, tick_planned_ms[1], cardinality(sample_tick) + coalesce(cardinality(edge_tick), 0)
  from history.activity
 where server_id = @server_id
   and bucket = @from
 order by first_ms
