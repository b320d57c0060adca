/* pgam:flush */
-- An event that says that a state changed is stored by who changes the state, which
-- is done after it: who saw the same, a little later or in a journal that waited,
-- adds nothing. What the server itself dates, and what happens to the monitor, is
-- told apart by its instant.
insert into history.event (server_id, at, kind, subject, old, new, detail)
select @server_id, @at, @kind, @subject, @old, @new, @detail
 where case
       when @kind in ('database_created', 'database_renamed') then not exists (
            select from history.database d
             where d.server_id = @server_id and d.oid = @oid and d.name = @subject and (d.dropped_at is null or d.dropped_at >= @seen_at))
       when @kind = 'database_dropped' then exists (
            select from history.database d
             where d.server_id = @server_id and d.oid <> @oid and d.name = @subject and d.dropped_at is null and d.last_seen_at < @seen_at)
            or not exists (
            select from history.database d
             where d.server_id = @server_id and d.name = @subject)
       when @kind = 'setting' then not exists (
            select from history.setting s
             where s.server_id = @server_id and s.name = @subject and (s.value = @new or s.since >= @seen_at))
       when @kind in ('promotion', 'demotion', 'instance', 'version') then not exists (
            select from history.server_identity i
             where i.server_id = @server_id
               and i.since >= (select max(b.since) from history.server_identity b where b.server_id = @server_id and b.since <= @seen_at)
               and (i.since > @seen_at or (i.in_recovery, i.version_num, i.version, coalesce(i.system_identifier, 0))
                                        = (@in_recovery, @version_num, @version, @system_identifier)))
       else true end
on conflict (server_id, at, kind, subject) do nothing
