/* pgam:labels */
select key, text
  from history.label
 where server_id = @server_id
   and key = any (@keys)
