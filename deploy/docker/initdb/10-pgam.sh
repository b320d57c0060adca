#!/bin/sh
# Makes stats_db and the roles of pgam in a new cluster; the postgres image runs
# it once. Passwords go by files, so that no command line shows them.
set -e

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set pgam `cat /run/pgam/db/pgam_password`
\set monitor `cat /run/pgam/db/monitor_password`
\set grafana `cat /run/pgam/db/grafana_password`
create role pgam_read nologin;
create role pgam login password :'pgam';
create role pgam_monitor login password :'monitor' connection limit 10 in role pg_monitor;
create role pgam_grafana login password :'grafana' connection limit 20 in role pgam_read;
alter role pgam_grafana set default_transaction_read_only = on;
alter role pgam_grafana set statement_timeout = '30s';
create database stats_db owner pgam;
revoke connect, temporary on database stats_db from public;
grant connect on database stats_db to pgam_read, pgam_monitor;
select 'grant pg_use_reserved_connections to pgam_monitor' where current_setting('server_version_num')::int >= 160000 \gexec
SQL
