/* pgam:compact */
select p.server_id, date_bin('10 minutes', p.databases_from, timestamptz 'epoch') as bucket
  from history.progress p
 where p.databases_from < @before
   and not exists (select from pgam.server s where s.id = p.server_id and s.purge)
 order by bucket, p.server_id
