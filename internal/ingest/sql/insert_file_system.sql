/* pgam:flush */
insert into history.file_system as f (server_id, mount_point, device, uses, source, first_seen_at, last_seen_at)
values (@server_id, @mount_point, @device, coalesce(@uses, array[]::text[]), @source, @at, @at)
on conflict (server_id, mount_point) do update
   set device = case when f.last_seen_at < excluded.last_seen_at then excluded.device else f.device end,
       uses = case when f.last_seen_at < excluded.last_seen_at then excluded.uses else f.uses end,
       source = case when f.last_seen_at < excluded.last_seen_at then excluded.source else f.source end,
       first_seen_at = least(f.first_seen_at, excluded.first_seen_at),
       last_seen_at = greatest(f.last_seen_at, excluded.last_seen_at)
 where f.first_seen_at > excluded.first_seen_at
    or f.last_seen_at <= excluded.last_seen_at - interval '5 minutes'
    or (f.last_seen_at < excluded.last_seen_at
        and (f.device, f.uses, f.source) is distinct from (excluded.device, excluded.uses, excluded.source))
