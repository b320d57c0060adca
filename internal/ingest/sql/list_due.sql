/* pgam:due */
select r.server_id, date_bin('10 minutes', r.slot, timestamptz 'epoch') as bucket
  from history.activity_recent r
 where r.slot < @now::timestamptz - interval '1 minute'
   and not exists (select from pgam.server s where s.id = r.server_id and s.purge)
 group by 1, 2
having max(r.written_at) <= @now::timestamptz - @quiet::interval
 order by 2, 1
