#!/bin/sh
# What check-packages.sh does inside: /check/one.deb and /check/two.deb are two
# versions of the package. The file /check/passed says that all of it held.
set -eu
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Without this, a fault in the middle of a pipe or of $() would go unseen.
fail() {
	echo "FAILED: $*"
	exit 1
}
step() { echo "- $*"; }
finish() {
	[ ! -d /run/systemd/system ] || journalctl --no-pager -u pgam-collector -u pgam-api >/check/journal 2>&1 || true
}
trap finish EXIT

systemd=
[ ! -d /run/systemd/system ] || systemd=yes

# wait_for asks until a command works, for a minute or $patience seconds.
wait_for() {
	end=$(($(date +%s) + ${patience:-60}))
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || fail "not within ${patience:-60} s: $*"
		sleep 0.1
	done
}
says() { grep -q -- "$1" "$2" || { cat "$2"; fail "$2 does not say: $1"; }; }
healthy() { pgam healthcheck http://127.0.0.1:8000/readyz && pgam healthcheck http://127.0.0.1:8001/readyz; }
version_is() { curl -sf http://127.0.0.1:8000/healthz | grep -q "\"version\":\"$1\""; }
logged() { journalctl --no-pager -u "$1" "$3" "$4" | grep -q -- "$2"; }

# start_all, stop_all: by systemd, or as the units would.
credentials() {
	mkdir -p "/run/credentials/$1"
	cp /etc/pgam/stats.dsn "/run/credentials/$1/pgam_stats_dsn"
	cp /etc/pgam/keyring.json "/run/credentials/$1/pgam_keyring"
	[ "$1" = pgam-collector ] || cp /etc/pgam/token.key "/run/credentials/$1/pgam_token_key"
	chown -R pgam "/run/credentials/$1"
	chmod 400 "/run/credentials/$1"/*
}
start_one() {
	credentials "$1"
	settings="PGAM_ENV_FILE=/etc/pgam/${1#pgam-}.env"
	# shellcheck disable=SC2086 # a list
	setpriv --reuid=pgam --regid=pgam --init-groups env -i $settings CREDENTIALS_DIRECTORY="/run/credentials/$1" \
		PGAM_KEY_FILE="/run/credentials/$1/pgam_keyring" "/usr/bin/$1" >>"/check/$1.log" 2>&1 &
	echo $! >"/check/$1.pid"
}
start_all() {
	if [ -n "$systemd" ]; then
		systemctl enable --now pgam.target
	else
		start_one pgam-collector
		start_one pgam-api
	fi
	wait_for healthy
}
stop_all() {
	[ -z "$systemd" ] || return 0
	for name in pgam-api pgam-collector; do
		pid=$(cat "/check/$name.pid")
		kill "$pid"
		wait "$pid" || fail "$name ends with $?"
	done
}

step "PostgreSQL"
pg_createcluster 15 main >/dev/null
if [ -n "$systemd" ]; then systemctl start postgresql@15-main; else pg_ctlcluster 15 main start; fi

step "install"
dpkg -i /check/one.deb >/check/install 2>&1 || { cat /check/install; fail "dpkg -i"; }
says "now set it up" /check/install
[ "$(stat -c '%U:%G %a' /etc/pgam)" = "root:pgam 750" ] || fail "/etc/pgam: $(stat -c '%U:%G %a' /etc/pgam)"
for file in collector.env api.env; do
	[ "$(stat -c '%U:%G %a' /etc/pgam/$file)" = "root:pgam 640" ] || fail "$file: $(stat -c '%U:%G %a' /etc/pgam/$file)"
done
[ "$(stat -c '%U:%G %a' /var/lib/pgam)" = "pgam:pgam 750" ] || fail "/var/lib/pgam: $(stat -c '%U:%G %a' /var/lib/pgam)"
pgam version | grep -q v0.0.1 || fail "the version is not stamped"
for file in man/man1/pgam.1.gz man/man8/pgam-api.8.gz bash-completion/completions/pgam zsh/vendor-completions/_pgam fish/vendor_completions.d/pgam.fish; do
	[ -s "/usr/share/$file" ] || fail "$file is missing"
done

if [ -n "$systemd" ]; then
	step "units before the set-up: they say what is missing"
	systemctl start pgam-api
	! systemctl is-active --quiet pgam-api || fail "pgam-api starts without a set-up"
	systemctl status --no-pager pgam-api >/check/status 2>&1 || true
	says "unmet condition check (ConditionPathExists=/etc/pgam/" /check/status
	step "systemd-analyze verify and security"
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no pgam.target pgam-collector.service pgam-api.service >/check/verify 2>&1 || true
	[ ! -s /check/verify ] || { cat /check/verify; fail "verify"; }
	for unit in pgam-collector pgam-api; do
		systemd-analyze security --no-pager --threshold=20 $unit.service >/check/security 2>&1 || { cat /check/security; fail "$unit is exposed by more than 2.0"; }
		echo "  $unit: $(sed -n 's/.*exposure level[^:]*: //p' /check/security)"
	done
fi

step "set up"
pgam setup --create --dry-run >/check/dry 2>&1 || { cat /check/dry; fail "pgam setup --dry-run"; }
says "nothing was changed" /check/dry
[ ! -e /etc/pgam/stats.dsn ] || fail "a dry run makes stats.dsn"
pgam setup --create >/check/password 2>/check/setup || { cat /check/setup; fail "pgam setup"; }
sed 's/^/  /' /check/setup
[ "$(wc -c </check/password)" = 27 ] || fail "no password alone on standard output"
pgam setup --create >/check/again 2>&1 || { cat /check/again; fail "pgam setup again"; }
says "everything is in place: nothing was changed" /check/again
for file in stats.dsn keyring.json token.key; do
	[ "$(stat -c '%U:%G %a' /etc/pgam/$file)" = "root:root 600" ] || fail "$file: $(stat -c '%U:%G %a' /etc/pgam/$file)"
done

step "start"
start_all
version_is v0.0.1 || fail "the API answers with another version"
token=$(curl -sf http://127.0.0.1:8000/token -d username=admin --data-urlencode "password=$(cat /check/password)" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -sf -H "Authorization: Bearer $token" http://127.0.0.1:8000/servers >/dev/null || fail "the administrator cannot ask"

step "watch a server"
runuser -u postgres -- psql -qc "create role mon login password 'mon'; grant pg_monitor to mon"
echo mon | pgam server add here --host 127.0.0.1 --user mon --disk-source local --password-file - 2>&1 | sed 's/^/  /'
sampled() { [ "$(runuser -u postgres -- psql -d stats_db -Atc 'select count(*) > 0 from history.activity_recent')" = t ]; }
wait_for sampled

if [ -n "$systemd" ]; then
	step "the process is confined"
	for unit in pgam-collector pgam-api; do
		pid=$(systemctl show -p MainPID --value $unit)
		[ "$(stat -c %U "/proc/$pid")" = pgam ] || fail "$unit does not run as pgam"
		for line in 'CapEff:.0000000000000000' 'CapBnd:.0000000000000000' 'NoNewPrivs:.1' 'Seccomp:.2'; do
			grep -q "$line" "/proc/$pid/status" || { cat "/proc/$pid/status"; fail "$unit lacks $line"; }
		done
	done

	step "reload"
	sed -i 's/^#PGAM_LOG_LEVEL=.*/PGAM_LOG_LEVEL=debug/; s/^#PGAM_MAX_CONNECTING=.*/PGAM_MAX_CONNECTING=8/' /etc/pgam/collector.env
	pid=$(systemctl show -p MainPID --value pgam-collector)
	systemctl reload pgam-collector
	wait_for logged pgam-collector "msg=reloaded" -p info
	wait_for logged pgam-collector "wait for a restart.*PGAM_MAX_CONNECTING" -p warning
	echo 'PGAM_NONSENSE=1' >>/etc/pgam/collector.env
	systemctl reload pgam-collector
	wait_for logged pgam-collector "not reloaded.*PGAM_NONSENSE" -p err
	sed -i '/PGAM_NONSENSE/d' /etc/pgam/collector.env
	[ "$(systemctl show -p MainPID --value pgam-collector)" = "$pid" ] || fail "a reload starts another process"
	! journalctl --no-pager -o cat "_SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value pgam-collector)" | grep -q '^time=' || fail "the journal has the time twice"
	sed -i 's/^#PGAM_LOG_LEVEL=.*/PGAM_LOG_LEVEL=debug/' /etc/pgam/api.env
	systemctl reload pgam-api
	wait_for logged pgam-api "msg=reloaded" -p info

	step "stop: in time, with stats_db there and with one that stands still"
	stopped() {
		begun=$(date +%s%N)
		systemctl stop pgam-collector pgam-api
		took=$((($(date +%s%N) - begun) / 1000000))
		ended="$(systemctl show -p Result --value pgam-collector) $(systemctl show -p Result --value pgam-api)"
		echo "  $took ms $1: $ended"
	}
	stopped "with stats_db there"
	[ "$ended" = "success success" ] || fail "not a clean stop: $ended"
	systemctl start pgam-collector pgam-api
	wait_for healthy
	systemctl kill --signal=STOP postgresql@15-main
	stopped "with a stats_db that stands still"
	systemctl kill --signal=CONT postgresql@15-main
	# Exit code 1 says that stats_db did not let it go; systemd has killed nothing.
	case "$ended" in *timeout* | *signal* | *core-dump* | *watchdog*) fail "systemd had to end it: $ended" ;; esac
	systemctl start pgam-collector pgam-api
	wait_for healthy

	step "wrong settings end it for good (exit code 2), a kill does not"
	echo 'PGAM_LISTEM=:1' >>/etc/pgam/api.env
	! systemctl restart pgam-api 2>/dev/null || fail "pgam-api starts with a wrong setting"
	sleep 4
	[ "$(systemctl show -p ActiveState -p ExecMainStatus -p NRestarts --value pgam-api | tr '\n' ' ')" = "0 2 failed " ] ||
		fail "after a wrong setting: $(systemctl show -p ActiveState -p ExecMainStatus -p NRestarts pgam-api | tr '\n' ' ')"
	sed -i '/PGAM_LISTEM/d' /etc/pgam/api.env
	systemctl start pgam-api
	systemctl kill --signal=KILL pgam-api
	restarted() { [ "$(systemctl show -p NRestarts --value pgam-api)" -ge 1 ] && healthy; }
	wait_for restarted

	step "watchdog: fed while it works, and a process that stands still is replaced"
	for unit in pgam-collector pgam-api; do
		mkdir -p /run/systemd/system/$unit.service.d
		printf '[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n' >/run/systemd/system/$unit.service.d/quick.conf
	done
	systemctl daemon-reload
	systemctl restart pgam-collector pgam-api
	sleep 8
	for unit in pgam-collector pgam-api; do
		[ "$(systemctl show -p NRestarts --value $unit)" = 0 ] || fail "$unit is not fed"
		kill -STOP "$(systemctl show -p MainPID --value $unit)"
	done
	for unit in pgam-collector pgam-api; do
		replaced() { [ "$(systemctl show -p NRestarts --value $unit)" -ge 1 ] && systemctl is-active --quiet $unit; }
		wait_for replaced
	done
	rm -r /run/systemd/system/pgam-collector.service.d /run/systemd/system/pgam-api.service.d
	systemctl daemon-reload
	systemctl restart pgam-collector pgam-api
	wait_for healthy
fi

step "upgrade"
sed -i 's/^#PGAM_TOKEN_TTL=.*/PGAM_TOKEN_TTL=2h/' /etc/pgam/api.env
before=$(cat /etc/pgam/* | sha256sum)
stop_all
dpkg -i /check/two.deb >/check/upgrade 2>&1 || { cat /check/upgrade; fail "upgrade"; }
[ "$(cat /etc/pgam/* | sha256sum)" = "$before" ] || fail "an upgrade changes /etc/pgam"
[ -n "$systemd" ] || start_all
wait_for healthy
wait_for version_is v0.0.2
[ "$(stat -c '%U:%G %a' /etc/pgam/api.env)" = "root:pgam 640" ] || fail "an upgrade changes who may read api.env"
pgam setup 2>&1 | grep -q "nothing was changed" || fail "setup after an upgrade changes something"

step "remove, and install again"
stop_all
apt-get remove -y pgam >/check/remove 2>&1 || { cat /check/remove; fail "remove"; }
[ ! -e /usr/bin/pgam ] || fail "pgam is still there"
! curl -sf http://127.0.0.1:8000/healthz >/dev/null || fail "the API still runs"
[ -z "$systemd" ] || ! systemctl is-enabled --quiet pgam.target 2>/dev/null || fail "the target is still enabled"
[ -s /etc/pgam/keyring.json ] && [ -s /etc/pgam/api.env ] && [ -d /var/lib/pgam ] || fail "removing takes the settings or the journal"
dpkg -i /check/two.deb >/check/install 2>&1 || { cat /check/install; fail "install again"; }
[ "$(cat /etc/pgam/* | sha256sum)" = "$before" ] || fail "installing again changes /etc/pgam"
start_all

step "purge"
stop_all
apt-get purge -y pgam >/check/purge 2>&1 || { cat /check/purge; fail "purge"; }
left=$(find / -xdev \( -path /proc -o -path /check -o -path /sys -o -path /run/credentials \) -prune -o -iname '*pgam*' -print |
	grep -v -e '^/etc/systemd/system/.*pgam-check' -e '^/tmp/systemd-private' -e '^/var/tmp/systemd-private' -e '^/var/lib/dpkg/' || true)
[ -z "$left" ] || fail "left behind: $left"
runuser -u postgres -- psql -d stats_db -Atc 'select count(*) > 0 from pgam.account' | grep -qx t || fail "purging takes stats_db"
getent passwd pgam >/dev/null || fail "purging takes the user"
echo "  left: the user pgam, and stats_db"
touch /check/passed
