/* pgam:flush */
delete from history.setting
 where server_id = @server_id
   and since < @at
   and name = any (@names::text[])
