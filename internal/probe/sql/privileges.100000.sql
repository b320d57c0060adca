/* pgam:privileges */
select pg_catalog.current_setting('server_version_num')::int4 as version_num,
       pg_catalog.current_setting('is_superuser') = 'on'
       or pg_catalog.pg_has_role('pg_read_all_stats', 'usage') as sees_all,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
       and pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute') as reads_control
