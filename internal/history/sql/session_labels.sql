/* pgam:session_labels */
-- What the sessions of some ranges are counted by: the session is one of its day's.
select s.day, s.key, coalesce(s.database_name, ''), coalesce(s.user_name, ''), coalesce(s.application_name, ''),
       coalesce(s.client_addr, ''), coalesce(s.backend_type, '')
  from (select distinct n.day, k.key
          from unnest(@from::timestamptz[], @to::timestamptz[]) as r (lo, hi)
         cross join lateral (
        select (a.bucket at time zone 'UTC')::date as day, a.session_keys
          from history.activity a
         where a.server_id = @server_id
           and a.bucket > r.lo - interval '10 minutes'
           and a.bucket < r.hi
           and a.bucket > @first::timestamptz - interval '10 minutes'
           and a.bucket < @last::timestamptz
         union all
        select (q.slot at time zone 'UTC')::date, q.session_keys
          from history.activity_recent q
         where q.server_id = @server_id
           and q.slot > r.lo - interval '15 seconds'
           and q.slot < r.hi) n
         cross join lateral unnest(n.session_keys) as k (key)) w
  join history.session s
    on s.server_id = @server_id
   and s.day = w.day
   and s.key = w.key
   and s.day >= (@first::timestamptz at time zone 'UTC')::date
   and s.day <= (@last::timestamptz at time zone 'UTC')::date
