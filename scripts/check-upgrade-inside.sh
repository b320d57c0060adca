# The first part of check-packages-inside.sh, which sources it where there is an
# /check/old.deb: programs of schema version 4, with history in stats_db, are
# replaced by /check/one.deb while they run. It leaves nothing behind.

# stats asks stats_db; prints the result alone.
stats() { runuser -u postgres -- psql -X -d stats_db -Atqc "$1"; }
# at_least tells whether a query gives that number or more.
at_least() { [ "$(stats "$2")" -ge "$1" ]; }

step "an older version, with a stats_db of schema 4"
dpkg -i /check/old.deb >/check/install 2>&1 || { cat /check/install; fail "dpkg -i old.deb"; }
pgam version | grep -q v0.0.0 || fail "old.deb holds another version: $(pgam version)"
runuser -u postgres -- psql -qc "create role pgam login createrole password 'old'" -c "create database stats_db owner pgam" \
	-c "create role mon login password 'mon'" -c "grant pg_monitor to mon"
(umask 077 && echo 'postgres://pgam:old@127.0.0.1/stats_db' >/etc/pgam/stats.dsn)
export PGAM_STATS_DSN_FILE=/etc/pgam/stats.dsn # It knew no other way.
pgam key generate /etc/pgam/keyring.json >/dev/null 2>&1
pgam key token /etc/pgam/token.key >/dev/null 2>&1
pgam migrate >/check/migrate 2>&1 || { cat /check/migrate; fail "the old version does not migrate"; }
pgam user create admin --role admin --generate >/check/password 2>/dev/null
echo mon | pgam server add here --host 127.0.0.1 --user mon --disk-source local --password-file - >/dev/null 2>&1
unset PGAM_STATS_DSN_FILE
[ "$(stats 'select version from public.pgam_schema_version')" = 4 ] || fail "the old schema is not version 4"
sed -i 's/^#PGAM_WINDOW=.*/PGAM_WINDOW=5s/; s/^#PGAM_DATABASES_INTERVAL=.*/PGAM_DATABASES_INTERVAL=2s/' /etc/pgam/collector.env
old_settings=yes
start_all
old_settings=
log_in() {
	curl -sf http://127.0.0.1:8000/token -d username=admin --data-urlencode "password=$(cat /check/password)" | sed 's/.*"access_token":"\([^"]*\)".*/\1/'
}
token=$(log_in)
for n in 1 2 3; do
	runuser -u postgres -- sh -c "while psql -qAtc \"select pg_sleep(0.$n), 'upgrade'\"; do :; done" >/dev/null 2>&1 &
done
wait_for at_least 3 "select count(*) from history.activity_window where samples > 0"
wait_for at_least 3 "select count(distinct sampled_at) from history.database_stat"

# Something for the rollups, which that version did not make: ten minutes that are over.
earlier="interval '20 minutes'"
stats "insert into history.activity_window select (jsonb_populate_record(w, jsonb_build_object('t0', t0 - $earlier))).* from history.activity_window w
	where samples > 0 and (t0 - $earlier)::date = t0::date order by t0 limit 3"

step "upgrade while it runs: migrates, and keeps what was there"
# What the old programs wrote until now, by the columns that they knew.
until=$(stats "select max(t0) + interval '1 ms' from history.activity_window")
columns() {
	stats "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = '$1'::regclass and attnum > 0 and not attisdropped and attname <> 'last_login_at'"
}
cat >/check/tables <<END
history.activity_window|t0 < '$until'|$(columns history.activity_window)
history.database_stat|sampled_at < '$until'|$(columns history.database_stat)
history.session|id <= $(stats "select max(id) from history.session")|$(columns history.session)
history.query|id <= $(stats "select max(id) from history.query")|server_id, id, query_id, own, first_seen_on
history.wait|id <= $(stats "select max(id) from history.wait")|$(columns history.wait)
pgam.account|true|$(columns pgam.account)
pgam.server|true|$(columns pgam.server)
END
as_before() {
	while IFS='|' read -r table where columns; do
		stats "select '$table', count(*), md5(string_agg(r::text, ' ' order by r::text)) from (select $columns from $table where $where) r"
	done </check/tables
}
as_before >/check/before
keys=$(cat /etc/pgam/keyring.json /etc/pgam/token.key /etc/pgam/stats.dsn /etc/pgam/collector.env | sha256sum)
grep -q '^#PGAM_BURST_' /etc/pgam/api.env /etc/pgam/collector.env && fail "the old settings are the new ones"
stop_all
apt-get install -y -o Dpkg::Options::=--force-confold /check/one.deb >/check/upgrade 2>&1 || { cat /check/upgrade; fail "upgrade"; }
sed -n 's/^\(migrated stats_db.*\)/  \1/p' /check/upgrade
[ -n "$systemd" ] || start_all
wait_for healthy
wait_for version_is v0.0.1
pgam migrate --status >/check/migrate 2>&1 || { cat /check/migrate; fail "stats_db was not migrated"; }
[ "$(stats 'select version from public.pgam_schema_version')" -gt 4 ] || fail "stats_db has the old schema"
as_before | diff /check/before - || fail "the upgrade changes what was stored"
sed 's/|/ /g; s/^\(.*\) .*/  kept: \1 rows/' /check/before
[ "$(cat /etc/pgam/keyring.json /etc/pgam/token.key /etc/pgam/stats.dsn /etc/pgam/collector.env | sha256sum)" = "$keys" ] || fail "the upgrade changes keys or settings"
grep -q '^#PGAM_BURST_' /etc/pgam/collector.env.dpkg-dist || fail "the new settings do not lie beside those that were changed"

step "history goes on, and the past is answered"
wait_for at_least 3 "select count(*) from history.activity_window where t0 >= '$until' and samples > 0 and tick_outcome is null"
stats "select '  planned ticks, longest time between two: ' || max(gap) from (
	select at - lag(at) over (order by at) as gap
	  from (select t0 + o * interval '1 ms' as at from history.activity_window, unnest(tick_offset_ms) o where t0 > timestamptz '$until' - interval '15 minutes') v) g"
curl -sf -H "Authorization: Bearer $token" http://127.0.0.1:8000/servers >/dev/null || fail "a token from before the upgrade is not good"
token=$(log_in)
past() { curl -sfG -H "Authorization: Bearer $token" --data-urlencode "to=$(date -u -d "$until" +%Y-%m-%dT%H:%M:%SZ)" "http://127.0.0.1:8000/api/v1/servers/here/$1"; }
past "history/coverage?from=$(date -u -d '-1 hour' +%Y-%m-%dT%H:%M:%SZ)" >/check/coverage || fail "the past cannot be asked for"
grep -q '"ok":[1-9]' /check/coverage || { cat /check/coverage; fail "no tick from before the upgrade is known"; }
[ "$(stats "select count(*) from report.activity where server = 'here' and \"time\" < '$until'")" -gt 0 ] || fail "the report shows nothing from before the upgrade"
# In the first minutes of a day there was nothing to copy to.
if at_least 1 "select count(*) from history.activity_window where t0 < timestamptz '$until' - interval '15 minutes'"; then
	patience=180 wait_for at_least 1 "select count(*) from history.activity_rollup where step_seconds = 600 and bucket < timestamptz '$until' - interval '15 minutes' and samples > 0"
fi

step "purge the upgraded one"
stop_all
apt-get purge -y pgam >/check/purge 2>&1 || { cat /check/purge; fail "purge"; }
[ ! -e /etc/pgam ] && [ ! -e /var/lib/pgam ] || fail "purging leaves settings or the journal"
runuser -u postgres -- psql -qc "drop database stats_db with (force)" -c "drop role pgam, pgam_read, mon"
