#!/bin/sh
# Installs what "make test" needs beside Go: PostgreSQL's server programs with
# contrib and pgbench, a C compiler for the race detector, curl and jq for the
# commands of the documents, and npm for the other
# PostgreSQL versions if WITH_NPM=1, OpenSSH's server, Chromium and PgBouncer (how a
# pooler is told from PostgreSQL) if WITH_SSHD=1, WITH_BROWSER=1 and WITH_POOLER=1 (tests skip where they are missing, but not in CI). Says nothing when all of it is there. Makes
# no cluster and starts no server.
set -eu

fail() {
	echo "install-test-deps: $*" >&2
	exit 1
}

# server_dir prints the newest folder that holds initdb.
server_dir() {
	if command -v initdb >/dev/null 2>&1; then
		dirname "$(readlink -f "$(command -v initdb)")"

		return
	fi
	for dir in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/local/pgsql/bin 2>/dev/null | sort -rV); do
		if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
			echo "$dir"

			return
		fi
	done
}

# have_contrib tells whether pg_stat_statements is installed for that server.
have_contrib() {
	for file in "$1"/../lib/pg_stat_statements.so "$1"/../lib*/pgsql/pg_stat_statements.so "$1"/../lib*/postgresql/pg_stat_statements.so /usr/lib*/pgsql/pg_stat_statements.so /usr/lib/postgresql*/pg_stat_statements.so; do
		[ ! -e "$file" ] || return 0
	done

	return 1
}

missing=
dir=$(server_dir)
{ [ -n "$dir" ] && have_contrib "$dir"; } || missing="$missing server"
command -v pgbench >/dev/null 2>&1 || { [ -n "$dir" ] && [ -x "$dir/pgbench" ]; } || missing="$missing pgbench"
command -v gcc >/dev/null 2>&1 || command -v cc >/dev/null 2>&1 || missing="$missing compiler"
for program in curl jq; do
	command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
[ "${WITH_NPM:-}" != 1 ] || command -v npm >/dev/null 2>&1 || missing="$missing npm"
[ "${WITH_SSHD:-}" != 1 ] || [ -x /usr/sbin/sshd ] || command -v sshd >/dev/null 2>&1 || missing="$missing sshd"
[ "${WITH_BROWSER:-}" != 1 ] || command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing browser"
[ "${WITH_POOLER:-}" != 1 ] || [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null 2>&1 || missing="$missing pgbouncer"
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
	tool=apt-get packages="postgresql postgresql-contrib gcc libc6-dev"
elif command -v dnf >/dev/null 2>&1; then
	tool=dnf packages="postgresql-server postgresql-contrib gcc"
elif command -v apk >/dev/null 2>&1; then
	tool=apk packages="postgresql postgresql-contrib postgresql-client gcc musl-dev"
elif command -v pacman >/dev/null 2>&1; then
	tool=pacman packages="postgresql gcc"
elif command -v zypper >/dev/null 2>&1; then
	tool=zypper packages="postgresql-server postgresql-contrib gcc"
elif command -v brew >/dev/null 2>&1; then
	tool=brew packages="postgresql"
else
	fail "missing:$missing. No known package manager: install PostgreSQL's server and contrib, and gcc"
fi
for program in curl jq; do # called the same everywhere
	case " $missing " in *" $program "*) packages="$packages $program" ;; esac
done
case "$missing" in *npm*) packages="$packages npm" ;; esac
case "$missing" in
*sshd*)
	case "$tool" in
	apk | pacman) packages="$packages openssh" ;;
	brew) ;;
	*) packages="$packages openssh-server" ;;
	esac
	;;
esac
case "$missing" in *browser*) packages="$packages chromium" ;; esac
case "$missing" in *pgbouncer*) packages="$packages pgbouncer" ;; esac

sudo=
if [ "$(id -u)" != 0 ] && [ "$tool" != brew ]; then
	command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null ||
		fail "missing:$missing. Neither root nor sudo without a password: install as root: $packages"
	sudo="sudo -n"
fi

# install runs one command, whose output is shown only if it fails.
install() {
	log=$(mktemp)
	if ! $sudo env DEBIAN_FRONTEND=noninteractive "$@" </dev/null >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		fail "missing:$missing. This failed: $*"
	fi
	rm -f "$log"
}

echo "install-test-deps: installing with $tool:$missing" >&2
case "$tool" in
apt-get)
	# Debian's packages make and start a cluster unless told otherwise.
	conf=/etc/postgresql-common/createcluster.d
	$sudo mkdir -p "$conf"
	echo "create_main_cluster = false" | $sudo tee "$conf/pgam-no-main-cluster.conf" >/dev/null
	# Nor shall a server start because its package is installed.
	policy=/usr/sbin/policy-rc.d
	if [ -e "$policy" ]; then
		policy=
	else
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
		$sudo chmod 755 "$policy"
	fi
	trap '$sudo rm -f "$conf/pgam-no-main-cluster.conf" $policy' EXIT
	install apt-get update
	install apt-get install -y --no-install-recommends $packages
	;;
dnf) install dnf install -y $packages ;;
apk) install apk add --no-cache $packages ;;
pacman) install pacman -Sy --noconfirm --needed $packages ;;
zypper) install zypper --non-interactive install $packages ;;
brew) install brew install $packages ;;
esac
