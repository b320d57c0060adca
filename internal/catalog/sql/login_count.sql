/* pgam:login_count */
-- The counters are not logged, but a page that is pruned on the way is: nobody
-- waits for a standby because of it.
with quick as (
     select set_config('synchronous_commit', 'off', true)),
     known as (
     select exists (
            select from pgam.login_origin
             where network = @network
               and last_at > now() - interval '90 days') as network),
     gone as (
     delete from pgam.login_bucket
      where key = any (array(
            select b.key
              from pgam.login_bucket b
             where b.filled_at < now() - interval '1 hour'
               and b.key <> all (@keys::bytea[])
             order by b.filled_at
             limit 100
               for update skip locked))),
     -- Everybody takes the buckets in one order, so that nobody waits in a circle.
     counted as (
     insert into pgam.login_bucket as b (key, level, capacity, drain)
     select k.key, 1, k.capacity, k.drain
       from unnest(@keys::bytea[], @capacities::double precision[], @drains::double precision[]) with ordinality as k (key, capacity, drain, n), known
      where k.n <= 2
         or (k.n = 3) = known.network
      order by k.n
     on conflict (key) do update
        set (level, is_full, capacity, drain, filled_at) = (
            select case when now_at.level + excluded.level > excluded.capacity then now_at.level else now_at.level + excluded.level end,
                   now_at.level + excluded.level > excluded.capacity, excluded.capacity, excluded.drain, greatest(b.filled_at, excluded.filled_at)
              from (select greatest(0, b.level - greatest(0, extract(epoch from excluded.filled_at - b.filled_at)) * excluded.drain)) as now_at (level))
     returning b.key, b.level, b.is_full)
select known.network,
       (select is_full from counted where key = (@keys::bytea[])[1]) as source_full,
       (select is_full from counted where key = (@keys::bytea[])[2]) as network_full,
       (select level from counted where key = any ((@keys::bytea[])[3:4])) as failures
  from known, quick
