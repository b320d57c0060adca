/* pgam:server_create */
insert into pgam.server (
       name, host, port, user_name, database_name, tls_mode, allow_md5,
       ssh_host, ssh_user, ssh_port, ssh_key_id, ssh_host_key, ssh_tunnel,
       stats_db, pool_profile, disk_source,
       activity_interval_seconds, databases_interval_seconds, inventory_interval_seconds, sizes_interval_seconds, disks_interval_seconds,
       query_texts, burst_active, burst_lock_waits, burst_connections_percent, session_control, cpu_count, enabled)
values (@name, @host, @port, @user_name, @database_name, @tls_mode, @allow_md5,
       @ssh_host, @ssh_user, @ssh_port, @ssh_key_id, @ssh_host_key, @ssh_tunnel,
       @stats_db, @pool_profile, @disk_source,
       @activity_interval_seconds, @databases_interval_seconds, @inventory_interval_seconds, @sizes_interval_seconds, @disks_interval_seconds,
       @query_texts, @burst_active, @burst_lock_waits, @burst_connections_percent, @session_control, @cpu_count, @enabled)
returning id, revision, created_at, updated_at
