/* pgam:login_note */
with quick as (
     select set_config('synchronous_commit', 'off', true)),
     touched as (
     update pgam.account
        set last_login_at = now()
       from quick
      where id = @id
     returning id),
     origin as (
     insert into pgam.login_origin as o (account_id, network)
     select id, @network from touched
     on conflict (account_id, network) do update
        set last_at = excluded.last_at
      where o.last_at < excluded.last_at - interval '1 day'),
     old as (
     delete from pgam.login_origin
      where account_id = @id
        and network <> @network
        and network = any (array(
            select network from pgam.login_origin where account_id = @id order by last_at desc offset 50))),
     given_back as (
     update pgam.login_bucket
        set level = greatest(0, level - 1)
      where key = @counted)
select count(*) from touched
