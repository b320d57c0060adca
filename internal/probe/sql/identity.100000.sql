/* pgam:identity */
select pg_catalog.current_setting('server_version_num')::int4 as version_num,
       pg_catalog.current_setting('server_version') as version,
       (select c.system_identifier from pg_catalog.pg_control_system() c) as system_identifier,
       (select c.timeline_id from pg_catalog.pg_control_checkpoint() c) as timeline_id,
       pg_catalog.pg_postmaster_start_time() as postmaster_start,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       (select pg_catalog.min(a.backend_start) from pg_catalog.pg_stat_get_activity(null) a where a.backend_type = 'checkpointer') as checkpointer_start,
       pg_catalog.pg_conf_load_time() as settings_loaded
