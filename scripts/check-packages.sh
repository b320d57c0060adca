#!/bin/sh
# Installs the .deb in a Debian of its own, sets pgam up there against a real
# PostgreSQL, runs the units under systemd (systemd-nspawn), upgrades, removes and
# purges, and looks at what is left. Without systemd-nspawn the daemons run in a
# chroot, as the units would start them. Needs root and debootstrap.
#
#   PGAM_CHECK_CACHE   where the Debian is kept between runs (/var/cache/pgam-check)
#   PGAM_CHECK_DEBS    a folder with one.deb and two.deb, versions v0.0.1 and v0.0.2,
#                      in place of packages that are built now
#   PGAM_CHECK_CHROOT  1: the chroot, even where systemd-nspawn is there
set -eu

cd "$(dirname "$0")/.."
skip() {
	echo "check-packages: skipped: $*"
	exit 0
}
[ "$(id -u)" = 0 ] || skip "only root can make a Debian to install into"
command -v debootstrap >/dev/null 2>&1 || skip "debootstrap is not installed: apt-get install debootstrap systemd-container"

cache=${PGAM_CHECK_CACHE:-/var/cache/pgam-check}
suite=bookworm
base=$cache/$suite

if [ ! -d "$base" ]; then
	echo "check-packages: making a Debian $suite in $base"
	rm -rf "$base.new"
	mkdir -p "$cache"
	debootstrap --variant=minbase --include=systemd,systemd-sysv,ca-certificates,curl "$suite" "$base.new" >"$cache/debootstrap.log" 2>&1 ||
		{ tail -n 20 "$cache/debootstrap.log" >&2; exit 1; }
	# Nothing shall start in there before it is asked to.
	printf '#!/bin/sh\nexit 101\n' >"$base.new/usr/sbin/policy-rc.d"
	chmod 755 "$base.new/usr/sbin/policy-rc.d"
	mkdir -p "$base.new/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' >"$base.new/etc/postgresql-common/createcluster.d/no-main.conf"
	chroot "$base.new" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql >>"$cache/debootstrap.log" 2>&1 ||
		{ tail -n 20 "$cache/debootstrap.log" >&2; exit 1; }
	rm -f "$base.new/usr/sbin/policy-rc.d"
	mv "$base.new" "$base"
fi

work=$(mktemp -d "$cache/run-XXXXXX")
root=$work/root
trap 'rm -rf "$work"' EXIT
if [ -z "${PGAM_CHECK_DEBS:-}" ]; then
	PGAM_CHECK_DEBS=$work/debs
	echo "check-packages: building two versions"
	mkdir "$PGAM_CHECK_DEBS"
	for version in v0.0.1 v0.0.2; do
		make -s build BIN="$work/bin" VERSION=$version
		BIN="$work/bin" VERSION=$version PACKAGERS=deb OUT="$work/$version" scripts/build-packages.sh >/dev/null
	done
	mv "$work"/v0.0.1/*.deb "$PGAM_CHECK_DEBS/one.deb"
	mv "$work"/v0.0.2/*.deb "$PGAM_CHECK_DEBS/two.deb"
fi

cp -a --reflink=auto "$base" "$root"
rm -f "$root/usr/sbin/policy-rc.d"
mkdir "$root/check"
cp "$PGAM_CHECK_DEBS/one.deb" "$PGAM_CHECK_DEBS/two.deb" "$root/check/"
cp scripts/check-packages-inside.sh "$root/check/inside.sh"

if [ "${PGAM_CHECK_CHROOT:-}" != 1 ] && command -v systemd-nspawn >/dev/null 2>&1; then
	echo "check-packages: in a container with systemd"
	cat >"$root/etc/systemd/system/pgam-check.service" <<-'UNIT'
		[Unit]
		After=multi-user.target
		[Service]
		Type=oneshot
		ExecStart=/bin/sh /check/inside.sh
		StandardOutput=append:/check/log
		ExecStopPost=/bin/sh -c 'systemctl poweroff --no-block 2>/dev/null'
	UNIT
	mkdir -p "$root/etc/systemd/system/default.target.wants"
	ln -s /etc/systemd/system/pgam-check.service "$root/etc/systemd/system/default.target.wants/"
	timeout 900 systemd-nspawn --quiet --directory "$root" --private-network --register=no --keep-unit --boot \
		</dev/null >"$work/console" 2>&1 || true
else
	echo "check-packages: in a chroot, without systemd"
	# Processes started in it end with it.
	timeout 900 unshare --mount --pid --net --fork --kill-child \
		sh -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && ip link set lo up && exec env -u PGAM_CHECK_CHROOT -u PGAM_CHECK_DEBS -u PGAM_CHECK_CACHE -u PGAM_CHECK_OLD chroot "$1" sh /check/inside.sh' \
		- "$root" >"$root/check/log" 2>&1 || true
fi

cat "$root/check/log" 2>/dev/null || cat "$work/console"
if [ ! -e "$root/check/passed" ]; then
	echo "check-packages: failed" >&2
	[ ! -s "$root/check/journal" ] || grep -v -e goroutine -e "[]]:  " -e "+0x" -e "gp=" "$root/check/journal" | tail -n 60 >&2
	exit 1
fi
echo "check-packages: passed"
