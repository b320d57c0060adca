/* pgam:flush */
-- A text is kept only as the server's query_texts allow it now: one that waited in
-- the journal may be of a time when more was allowed. A longer text replaces a
-- shorter one, a newer kind of text an older one.
insert into history.query as q (server_id, key, query_id, own, text, text_full, first_seen_on, last_seen_on)
select @server_id, @key, @query_id, @own, t.text, t.text is not null and @text_full, @day, @day
  from (select case coalesce((select s.query_texts from pgam.server s where s.id = @server_id), 'normalized')
               when 'full' then @text::text
               when 'normalized' then case when not @text_full then @text::text end
               end as text) t
on conflict (server_id, key) do update
   set text = case
              when excluded.text is null or q.text_full = excluded.text_full and octet_length(q.text) >= octet_length(excluded.text) then q.text
              else excluded.text end,
       text_full = case
              when excluded.text is null or q.text_full = excluded.text_full and octet_length(q.text) >= octet_length(excluded.text) then q.text_full
              else excluded.text_full end,
       last_seen_on = greatest(q.last_seen_on, excluded.last_seen_on)
 where q.last_seen_on < excluded.last_seen_on
    or (excluded.text is not null
        and (q.text is null or q.text_full <> excluded.text_full or octet_length(q.text) < octet_length(excluded.text)))
