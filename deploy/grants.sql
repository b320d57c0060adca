-- Prepares a watched server for pgam. Run as a superuser, in any database:
--
--   psql -v password="'a long random one'" -f grants.sql
--
-- The role reads statistics and settings, writes nothing, and is bounded: at
-- most seven connections (two of the collector, five of the API's pool), no
-- statement over five seconds, no wait for a lock over 300 ms. Works on
-- PostgreSQL 9.6 to 19; running it again changes nothing but the password. Before
-- PostgreSQL 10 there is no pg_monitor: only a superuser sees the sessions of
-- others there, and this role sees its own and the databases' counters.

\set ON_ERROR_STOP on

select not exists (select from pg_catalog.pg_roles where rolname = 'pgam') as missing \gset
\if :missing
create role pgam;
\endif

alter role pgam login connection limit 7 password :password;
alter role pgam set statement_timeout = '5s';
alter role pgam set lock_timeout = '300ms';
alter role pgam set idle_in_transaction_session_timeout = '10s';
alter role pgam set default_transaction_read_only = on;

select pg_catalog.current_setting('server_version_num')::int >= 100000 as monitor \gset
\if :monitor
grant pg_monitor to pgam;
\else
\echo 'no pg_monitor before PostgreSQL 10: pgam sees its own sessions and the counters of databases; for all sessions: alter role pgam superuser'
\endif

-- PostgreSQL 16 and later: sampling goes on when connection slots run out.
select pg_catalog.current_setting('server_version_num')::int >= 160000 as reserved \gset
\if :reserved
grant pg_use_reserved_connections to pgam;
\endif
