#!/bin/sh
# Makes the role that watches the demo's server; the postgres image runs it once.
set -e

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set monitor `cat /run/pgam/demo/monitor_password`
create role pgam_monitor login password :'monitor' connection limit 10 in role pg_monitor;
select 'grant pg_use_reserved_connections to pgam_monitor' where current_setting('server_version_num')::int >= 160000 \gexec
SQL
