#!/bin/sh
# Brings stats_db to the version of this image and, the first time, makes the
# administrator and watches stats_db's own server. With "demo" it registers the
# demo's server instead. Safe to repeat.
set -eu

# known NAME COMMAND… tells whether NAME is in the first column of a list.
known() {
	name=$1
	shift
	"$@" | awk -v name="$name" 'NR > 1 && $1 == name { found = 1 } END { exit !found }'
}

if [ "${1:-}" = demo ]; then
	known demo pgam server list ||
		pgam server add demo --host demo-db --user pgam_monitor --database shop --password-file /run/pgam/demo/monitor_password
	exit
fi

pgam migrate
known stats_db pgam server list ||
	pgam server add stats_db --host db --user pgam_monitor --database stats_db --password-file /run/pgam/app/monitor_password
if ! known admin pgam user list; then
	password=$(pgam user create admin --role admin --generate)
	cat <<-END

		  First login at the API:   admin   $password
		  It is shown this once. Change it with:
		  docker compose run --rm setup pgam user passwd admin --generate

	END
fi
