/* pgam:flush */
-- A row where it is another than the one before: who saw it first has written it.
insert into history.server_identity (
       server_id, since, version_num, version, system_identifier, timeline_id, postmaster_start, in_recovery, checkpointer_start)
select @server_id, @since, @version_num, @version, @system_identifier, @timeline_id, @postmaster_start, @in_recovery, @checkpointer_start
 where not exists (
       select
         from (select i.version_num, i.version, i.system_identifier, i.timeline_id, i.postmaster_start, i.in_recovery, i.checkpointer_start
                 from history.server_identity i
                where i.server_id = @server_id
                  and i.since <= @since
                order by i.since desc
                limit 1) before
        where (before.version_num, before.version, before.system_identifier, before.timeline_id, before.postmaster_start,
               before.in_recovery, before.checkpointer_start)
              is not distinct from
              (@version_num::integer, @version::text, @system_identifier::bigint, @timeline_id::integer, @postmaster_start::timestamptz,
               @in_recovery::boolean, @checkpointer_start::timestamptz))
on conflict (server_id, since) do nothing
