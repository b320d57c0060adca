#!/bin/sh
# After the files have gone. Removing keeps /etc/pgam and /var/lib/pgam; purging
# (deb only) takes them, with the keyring. stats_db is nobody's but yours: it
# stays, and so does the user pgam.
set -e

case "$1" in
purge) rm -rf /etc/pgam /var/lib/pgam ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
