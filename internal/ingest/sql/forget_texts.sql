/* pgam:forget */
with forbidden as (
  select q.key
    from history.query q
   where q.server_id = @server_id
     and q.key > @after
     and q.text is not null
     and (q.text_full or @all)
   order by q.key
   limit @chunk
     for update skip locked
), forgotten as (
  update history.query q
     set text = null, text_full = false
    from forbidden f
   where q.server_id = @server_id
     and q.key = f.key
  returning q.key
)
select count(*), coalesce(max(key), 0)
  from forgotten
