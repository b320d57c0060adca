/* pgam:settings, null where the value is that of this session, not the server's */
select s.name,
       case when s.source not in ('client', 'session', 'user', 'database', 'database user', 'interactive', 'test')
            then pg_catalog.current_setting(s.name) end as value
  from pg_catalog.pg_show_all_settings() s
 where s.name not like 'transaction\_%'
   and s.name not in ('application_name', 'in_hot_standby', 'is_superuser', 'role', 'seed', 'server_version', 'server_version_num',
                      'session_authorization')
