/* pgam:identity, for a role that may not read the control file */
select pg_catalog.current_setting('server_version_num')::int4 as version_num,
       pg_catalog.current_setting('server_version') as version,
       null::int8 as system_identifier,
       null::int4 as timeline_id,
       pg_catalog.pg_postmaster_start_time() as postmaster_start,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       (select pg_catalog.min(a.backend_start) from pg_catalog.pg_stat_get_activity(null) a where a.backend_type = 'checkpointer') as checkpointer_start,
       pg_catalog.pg_conf_load_time() as settings_loaded
