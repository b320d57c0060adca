#!/bin/sh
# Brings docker-compose.yml up for real, without a registry: a dockerd of its own,
# and stand-ins for the base images made here by debootstrap. It logs in, sees
# that the demo's server is sampled, restarts, and sees that all is still there.
#
#   make check-compose
#
# It needs root, dockerd, docker, Compose (v2 or v1.29), debootstrap, curl, jq and
# Go, and says what is missing.
#
# COMPOSE=COMMAND            which Compose: "docker compose", docker-compose or a path (default: the
#                            first that is there)
# CHECK_COMPOSE_REQUIRED=1   fail where it would be skipped
# CHECK_COMPOSE_MIRROR=URL   Debian mirror (default: that of this machine)
# CHECK_COMPOSE_CACHE=DIR    keep the stand-ins there, and what was built, for the next run
set -eu

fail() {
	echo "check-compose: FAILED: $*" >&2
	exit 1
}

skip() {
	[ "${CHECK_COMPOSE_REQUIRED:-}" != 1 ] || fail "$*"
	echo "check-compose: skipped: $*" >&2
	exit 0
}

say() { echo "check-compose: $*" >&2; }

[ "$(id -u)" = 0 ] || skip "not root, so no dockerd of its own"
for tool in dockerd docker debootstrap curl jq go tar; do
	command -v "$tool" >/dev/null 2>&1 || skip "$tool is not installed (Debian: docker.io docker-compose debootstrap curl jq)"
done
compose=${COMPOSE:-}
if [ -n "$compose" ]; then
	$compose version >/dev/null 2>&1 || fail "COMPOSE=$compose does not run"
elif docker compose version >/dev/null 2>&1; then
	compose="docker compose"
elif command -v docker-compose >/dev/null 2>&1; then
	compose=docker-compose
else
	skip "neither docker compose nor docker-compose is installed"
fi
say "with $compose $($compose version --short 2>/dev/null)"

cd "$(dirname "$0")/.."
tree=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/pgam-check-compose.XXXXXX")
dockerd_pid=

export DOCKER_HOST="unix://$work/docker.sock" DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 PYTHONWARNINGS=ignore
export COMPOSE_PROJECT_NAME=pgamcheck COMPOSE_FILE="$tree/docker-compose.yml"
export GO_IMAGE=unknown RUNTIME_IMAGE=standin/runtime POSTGRES_IMAGE=standin/postgres PROMETHEUS_IMAGE=standin/prometheus
export PGAM_VERSION=check

finish() {
	code=$?
	trap - EXIT INT TERM
	if [ -n "$dockerd_pid" ]; then
		if [ "$code" != 0 ]; then
			$compose --profile demo --profile observability ps -a >&2 2>/dev/null || true
			$compose --profile demo --profile observability logs --no-color --tail 30 >&2 2>/dev/null || true
		fi
		$compose --profile demo --profile observability down -v --remove-orphans --timeout 10 >/dev/null 2>&1 || true
		kill "$dockerd_pid" 2>/dev/null || true
		wait "$dockerd_pid" 2>/dev/null || true
	fi
	umount "$data"/overlay2/*/merged 2>/dev/null || true
	rm -rf --one-file-system "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# until_true SECONDS WHAT COMMAND… waits.
until_true() {
	seconds=$1 what=$2
	shift 2
	end=$(($(date +%s) + seconds))
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || fail "no $what within $seconds s"
		sleep 1
	done
}

# --- dockerd, which has no network to pull from ---------------------------------

data=${CHECK_COMPOSE_CACHE:-$work}/docker
mkdir -p "$data"
HTTP_PROXY=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 dockerd --bridge none --data-root "$data" --exec-root "$work/exec" \
	--pidfile "$work/docker.pid" -H "$DOCKER_HOST" --log-level warn >"$work/dockerd.log" 2>&1 &
dockerd_pid=$!
answers() { docker version >/dev/null 2>&1; }
ready() {
	kill -0 "$dockerd_pid" 2>/dev/null || {
		tail -n 5 "$work/dockerd.log" >&2
		dockerd_pid=
		skip "dockerd does not run on this machine"
	}
	answers
}
until_true 60 "answer of dockerd" ready

# --- stand-ins -----------------------------------------------------------------

root=$work/root
if [ -n "${CHECK_COMPOSE_CACHE:-}" ] && [ -d "$CHECK_COMPOSE_CACHE/root" ]; then
	root=$CHECK_COMPOSE_CACHE/root
else
	[ -z "${CHECK_COMPOSE_CACHE:-}" ] || root=$CHECK_COMPOSE_CACHE/root
	. /etc/os-release
	[ "${ID:-}" = debian ] || [ -n "${CHECK_COMPOSE_MIRROR:-}" ] || skip "not Debian: give CHECK_COMPOSE_MIRROR"
	mirror=${CHECK_COMPOSE_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
		awk '$1 == "URIs:" || $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }')}
	say "making a Debian root"
	mkdir -p "$(dirname "$root")"
	debootstrap --variant=minbase --include=ca-certificates "${VERSION_CODENAME:-bookworm}" "$root.new" "$mirror" >"$work/debootstrap.log" 2>&1 || {
		tail -n 5 "$work/debootstrap.log" >&2
		skip "debootstrap does not reach a mirror"
	}
	# Nothing is to start, nor is a cluster to be made.
	printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d"
	chmod 755 "$root.new/usr/sbin/policy-rc.d"
	mkdir -p "$root.new/etc/postgresql-common"
	echo "create_main_cluster = false" >"$root.new/etc/postgresql-common/createcluster.conf"
	DEBIAN_FRONTEND=noninteractive chroot "$root.new" apt-get install -y --no-install-recommends postgresql >"$work/apt.log" 2>&1 || {
		tail -n 5 "$work/apt.log" >&2
		fail "PostgreSQL was not installed in the stand-in"
	}
	mv "$root.new" "$root"
fi
there() { docker image inspect "$1" >/dev/null 2>&1; }
there standin/runtime || tar -C "$root" --one-file-system -c . | docker import - standin/runtime >/dev/null

# The image's entrypoint, as far as docker-compose.yml needs it.
mkdir "$work/postgres"
cat >"$work/postgres/entrypoint.sh" <<'END'
#!/bin/sh
set -eu
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
export PATH
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	mkdir -p "$PGDATA"
	eval "initdb --username=\"$POSTGRES_USER\" --pwfile=\"$POSTGRES_PASSWORD_FILE\" ${POSTGRES_INITDB_ARGS:-}"
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
	export PGPASSWORD
	pg_ctl -w start -o "-c listen_addresses=''"
	[ "${POSTGRES_DB:-postgres}" = postgres ] || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
	for script in /docker-entrypoint-initdb.d/*.sh; do
		if [ -x "$script" ]; then "$script"; else . "$script"; fi
	done
	pg_ctl -w -m fast stop
	unset PGPASSWORD
fi
exec "$@"
END
cat >"$work/postgres/Dockerfile" <<'END'
FROM standin/runtime
COPY entrypoint.sh /usr/local/bin/entrypoint.sh
RUN chmod 755 /usr/local/bin/entrypoint.sh && ln -s /usr/lib/postgresql/*/bin/pg_isready /usr/lib/postgresql/*/bin/psql /usr/local/bin/
RUN install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data /docker-entrypoint-initdb.d && chmod 3777 /run/postgresql
ENV PGDATA=/var/lib/postgresql/data
ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]
CMD ["postgres"]
END
docker build -q -t standin/postgres "$work/postgres" >/dev/null 2>&1 || fail "no stand-in for PostgreSQL was made"

# Go is this machine's, and so are the modules: a stand-in for one go.mod.
GO_IMAGE=standin/golang:$(cat go.mod go.sum | cksum | cut -d ' ' -f 1)
if ! there "$GO_IMAGE"; then
	say "taking over Go and the modules"
	mkdir "$work/golang"
	go mod download
	cp -a "$(go env GOROOT)" "$work/golang/go"
	cp -a "$(go env GOMODCACHE)/cache/download" "$work/golang/modules"
	cat >"$work/golang/Dockerfile" <<'END'
FROM standin/runtime
COPY go /usr/local/go
COPY modules /modules
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    GOPATH=/go GOPROXY=file:///modules GOSUMDB=off GOTOOLCHAIN=local
END
	docker build -q -t "$GO_IMAGE" "$work/golang" >/dev/null 2>&1 || fail "no stand-in for Go was made"
	rm -rf "$work/golang"
fi

# --- up -------------------------------------------------------------------------

port=$(awk 'BEGIN { srand(); print 20000 + int(rand() * 10000) }')
export PGAM_PUBLISH="127.0.0.1:$port" PROMETHEUS_PUBLISH="127.0.0.1:$((port + 1))"
url=http://$PGAM_PUBLISH

$compose --profile demo --profile observability down -v --remove-orphans >/dev/null 2>&1 || true # of a run that was cut off
say "building"
$compose build >"$work/build.log" 2>&1 || {
	tail -n 20 "$work/build.log" >&2
	fail "the image was not built"
}
say "up, with the demo"
$compose --profile demo up -d >"$work/up.log" 2>&1 || {
	tail -n 20 "$work/up.log" >&2
	fail "the stack did not come up"
}

# id SERVICE gives its container.
id() { docker ps -a -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter "label=com.docker.compose.service=$1"; }
healthy() {
	for service in "$@"; do
		[ "$(docker inspect -f '{{.State.Health.Status}}' "$(id "$service")" 2>/dev/null)" = healthy ] || return 1
	done
}
ended() { [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$(id "$1")" 2>/dev/null)" = "exited 0" ]; }
until_true 120 "health of all services" healthy db demo-db collector api
until_true 30 "end of demo-setup" ended demo-setup
for service in secrets setup; do
	ended "$service" || fail "$service has not ended well"
done

# --- what was promised ------------------------------------------------------------

for service in secrets setup collector api db demo-db demo-load demo-setup; do
	docker inspect "$(id "$service")" | jq -e '.[0]
		| .HostConfig.ReadonlyRootfs and (.HostConfig.CapDrop == ["ALL"]) and (.HostConfig.CapAdd == null)
		and (.HostConfig.SecurityOpt | index("no-new-privileges:true") != null)
		and (.Config.User | . != "" and . != "0" and . != "root") and .HostConfig.PidsLimit > 0' >/dev/null ||
		fail "$service is not hardened"
	env=$(docker inspect -f '{{join .Config.Env "\n"}}' "$(id "$service")")
	case "$env" in *PASSWORD=* | *DSN=* | *TOKEN_KEY=*) fail "a secret is in the environment of $service" ;; esac
done
[ -n "$(docker port "$(id api)")" ] && ! docker port "$(id api)" | grep -v "127.0.0.1:$port" || fail "the API is published elsewhere"
for service in collector db demo-db; do
	[ -z "$(docker port "$(id "$service")")" ] || fail "$service is published"
done
! docker exec "$(id api)" sh -c 'echo x >/usr/bin/x' 2>/dev/null || fail "the root file system can be written"
docker exec "$(id api)" sh -c 'test "$(id -u)" = 10001' || fail "the API does not run as 10001"

password=$($compose logs --no-color setup | sed -n 's/.*First login at the API: *admin *\([^ ]*\).*/\1/p')
[ -n "$password" ] || fail "the log of setup shows no first login"
token() { curl -sS --max-time 20 --data-urlencode "username=admin" --data-urlencode "password=$password" "$url/token" | jq -er .access_token; }
get() { curl -sSf --max-time 20 -H "Authorization: Bearer $token" "$url$1"; }
curl -s -o /dev/null -w '%{http_code}' "$url/servers" | grep -q 401 || fail "the API answers without a token"
token=$(token) || fail "the first login does not work"
names=$(get /api/v1/servers | jq -r '[.. | .name? // empty] | sort | join(" ")')
case " $names " in *" demo "*) ;; *) fail "demo is not among the servers: $names" ;; esac
case " $names " in *" stats_db "*) ;; *) fail "stats_db is not among the servers: $names" ;; esac

# stats SQL asks stats_db.
stats() {
	docker exec "$(id db)" sh -c 'PGPASSWORD=$(cat /run/pgam/db/postgres_password) psql -X -A -t -h 127.0.0.1 -U postgres -d stats_db -c "$0"' "$1"
}
ticks() {
	stats "select count(*) from report.tick where server = '$1' and outcome = 'ok'"
}
sampled() { [ "$(ticks "$1")" -ge 20 ]; }
until_true 90 "answered ticks of demo" sampled demo
until_true 30 "answered ticks of stats_db" sampled stats_db
past=$(date -u -d '-10 minutes' +%Y-%m-%dT%H:%M:%SZ)
answered=$(get "/api/v1/servers/demo/history/coverage?from=$past" | jq '[.. | .ok? // empty] | add')
[ "${answered:-0}" -gt 0 ] || fail "the API knows of no answered tick of demo"

# --- Prometheus, where this machine has one ---------------------------------------

if command -v prometheus >/dev/null 2>&1; then
	say "with Prometheus"
	mkdir "$work/prometheus"
	cp "$(command -v prometheus)" "$work/prometheus/prometheus"
	cat >"$work/prometheus/Dockerfile" <<'END'
FROM standin/runtime
COPY prometheus /bin/prometheus
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
END
	docker build -q -t standin/prometheus "$work/prometheus" >/dev/null 2>&1 || fail "no stand-in for Prometheus was made"
	$compose --profile observability up -d prometheus >"$work/up.log" 2>&1 || fail "Prometheus did not start"
	# prometheus QUESTION FILTER asks it; not by jq -e, which takes no answer for a good one.
	prometheus() { curl -sf --max-time 20 "http://$PROMETHEUS_PUBLISH/api/v1/$1" | jq "$2"; }
	scraped() { [ "$(prometheus 'query?query=up' '[.data.result[] | select(.value[1] == "1")] | length')" = 2 ]; }
	until_true 90 "scrape of both daemons" scraped
	rules=$(prometheus rules '[.data.groups[].rules[]] | length')
	[ "$rules" -gt 10 ] || fail "Prometheus has $rules rules of ours"
	# Secrets are in no metric.
	curl -s "$url/metrics" >"$work/metrics"
	docker exec "$(id db)" sh -c 'cat /run/pgam/db/*_password' | fold -w 48 | grep -F -f - "$work/metrics" && fail "a password is in /metrics"
else
	say "without Prometheus, which is not installed here"
fi

# --- again ------------------------------------------------------------------------

before=$(ticks demo)
say "restart"
$compose --profile demo restart -t 20 db collector api >/dev/null 2>&1 || fail "restart does not work"
until_true 90 "health after a restart" healthy db collector api
say "down and up"
$compose --profile demo --profile observability down --timeout 20 >/dev/null 2>&1 || fail "down does not work"
$compose --profile demo up -d >"$work/up.log" 2>&1 || {
	tail -n 20 "$work/up.log" >&2
	fail "the stack did not come up again"
}
until_true 120 "health after down and up" healthy db demo-db collector api
token=$(token) || fail "the first login does not work after a restart"
after=$(ticks demo)
[ "$after" -ge "$before" ] || fail "there were $before ticks of demo, now there are $after"
more() { [ "$(ticks demo)" -gt "$after" ]; }
until_true 90 "new ticks after the restart" more
$compose logs --no-color setup | grep -q "First login" && fail "setup made a new password"
twice=$(stats "select count(*) from (select from report.tick group by server_id, date_trunc('second', time) having count(*) > 1) x")
[ "$twice" = 0 ] || fail "$twice ticks are there twice"

say "down -v"
$compose --profile demo --profile observability down -v --timeout 20 >/dev/null 2>&1 || fail "down -v does not work"
left=$(docker volume ls -q | wc -l)
[ "$left" = 0 ] || fail "$left volumes are left"
say "ok: up, login, $before windows of demo before and $(($after)) after the restart"
