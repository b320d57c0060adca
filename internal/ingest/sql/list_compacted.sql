/* pgam:flush */
-- A row of a bucket that is compacted already is late: nobody looks at it before it
-- is merged in.
select distinct bucket
  from history.activity
 where server_id = @server_id
   and bucket >= @from
