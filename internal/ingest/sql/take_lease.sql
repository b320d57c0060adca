/* pgam:lease */
insert into pgam.lease as l (holder, term)
values (@holder, 1)
on conflict (one) do update
   set holder = excluded.holder, term = l.term + 1, beats = 0, renewed_at = clock_timestamp()
 where l.term = @term
   and l.beats = @beats
returning l.term
