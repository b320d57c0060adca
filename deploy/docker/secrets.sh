#!/bin/sh
# Makes the secrets of the stack where they are missing; what exists stays as it
# is. Nothing is printed. Each folder is a volume of its own, mounted only where
# its secrets are needed: so files of other users' services can be readable.
set -eu

# keep FILE MODE makes FILE of standard input, whole or not at all.
keep() {
	cat >"$1.new"
	chmod "$2" "$1.new"
	mv "$1.new" "$1"
}

# random FILE makes a password of 192 bits.
random() {
	[ -s "$1" ] || od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' | keep "$1" 444
}

cd /run/pgam
random db/postgres_password
random db/pgam_password
random db/monitor_password
random db/grafana_password
random demo/postgres_password
random demo/monitor_password
random grafana/admin_password
[ -s grafana/read_password ] || keep grafana/read_password 444 <db/grafana_password

[ -s app/keyring.json ] || pgam key generate app/keyring.json
[ -s app/token.key ] || pgam key token app/token.key
[ -s app/stats_dsn ] ||
	printf 'postgres://pgam:%s@db:5432/stats_db\n' "$(cat db/pgam_password)" | keep app/stats_dsn 400
[ -s app/monitor_password ] || keep app/monitor_password 400 <db/monitor_password
[ -s demo/dsn ] ||
	printf 'postgres://postgres:%s@demo-db:5432/shop\n' "$(cat demo/postgres_password)" | keep demo/dsn 444
