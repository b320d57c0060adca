/* pgam:lease */
update pgam.lease
   set beats = beats + 1, renewed_at = clock_timestamp()
 where holder = @holder
   and term = @term
returning clock_timestamp()
