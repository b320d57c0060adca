#!/bin/sh
# After the files are there: deb calls it with "configure [old version]", rpm with
# the number of versions installed. Works where no systemd runs, too.
set -e

upgrade=
case "$1" in
configure) [ -z "$2" ] || upgrade=yes ;;
abort-*) exit 0 ;;
1) ;;
*) upgrade=yes ;;
esac

if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers pgam.conf
elif ! getent passwd pgam >/dev/null; then
	getent group pgam >/dev/null || groupadd --system pgam
	useradd --system --gid pgam --home-dir /var/lib/pgam --no-create-home --shell /usr/sbin/nologin pgam
fi
if command -v systemd-tmpfiles >/dev/null 2>&1; then
	systemd-tmpfiles --create pgam.conf || true # A container may not let it.
fi
[ -d /var/lib/pgam ] || install -d -m 0750 -o pgam -g pgam /var/lib/pgam
chown root:pgam /etc/pgam /etc/pgam/collector.env /etc/pgam/api.env
chmod 0750 /etc/pgam
chmod 0640 /etc/pgam/collector.env /etc/pgam/api.env

running=
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	for unit in pgam-collector.service pgam-api.service; do
		if systemctl is-active --quiet "$unit"; then running="$running $unit"; fi
	done
fi

# The programs refuse a stats_db of another version than their own, so it goes
# along. Daemons that ran are started again, whatever became of it: they say why
# if they cannot.
if [ -n "$upgrade" ] && [ -e /etc/pgam/stats.dsn ] && ! /usr/bin/pgam migrate --status >/dev/null 2>&1; then
	[ -z "$running" ] || systemctl stop $running || true
	/usr/bin/pgam migrate || echo "pgam: stats_db was not migrated: run pgam migrate, then systemctl restart pgam.target" >&2
fi
[ -z "$running" ] || systemctl restart $running || true

if [ -z "$upgrade" ] && [ ! -e /etc/pgam/stats.dsn ]; then
	echo "pgam: now set it up: pgam setup --help"
fi
