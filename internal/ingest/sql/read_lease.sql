/* pgam:lease */
select coalesce(l.holder, ''), l.term, l.beats, true, clock_timestamp()
  from pgam.lease l
 union all
select '', 0, 0, false, clock_timestamp()
 where not exists (select from pgam.lease)
