/* pgam:compact */
with merged as (
delete from history.activity
 where server_id = @server_id
   and bucket = @bucket
   and part = any (@parts::integer[]))
delete from history.activity_recent
 where server_id = @server_id
   and slot = any (@slots)
