/* pgam:open */
-- Buckets of a range that have recent rows and are not compacted.
select distinct date_bin('10 minutes', s.slot, timestamptz 'epoch') as bucket
  from history.activity_recent s
 where s.server_id = @server_id
   and s.slot > @from::timestamptz - interval '15 seconds'
   and s.slot < @to
   and not s.late
 order by bucket
