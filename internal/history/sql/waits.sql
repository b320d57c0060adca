/* pgam:waits */
select key, class, state, wait_event_type, wait_event
  from history.wait
 where server_id = @server_id
   and (@keys::bigint[] is null or key = any (@keys))
