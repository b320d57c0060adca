#!/bin/sh
# Before the files go: deb calls it with "remove" or "upgrade", rpm with 0 or 1.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now pgam.target pgam-collector.service pgam-api.service || true
	elif command -v systemctl >/dev/null 2>&1; then
		systemctl --no-reload disable pgam.target pgam-collector.service pgam-api.service >/dev/null 2>&1 || true
	fi
	;;
esac
