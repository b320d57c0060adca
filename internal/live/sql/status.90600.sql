/* pgam:live_status */
select pg_catalog.current_setting('server_version') as version,
       pg_catalog.current_setting('server_version_num')::int4 as version_num,
       (select s.setting from pg_catalog.pg_settings s where s.name = 'data_directory') as data_dir,
       pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.pg_postmaster_start_time()) as uptime,
       pg_catalog.clock_timestamp() as clock,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       pg_catalog.current_setting('is_superuser') = 'on' as sees_all,
       pg_catalog.current_setting('is_superuser') = 'on' as superuser
