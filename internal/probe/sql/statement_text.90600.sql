/* pgam:statement_text, of statements that have no query_id */
select a.pid,
       a.query_start,
       pg_catalog.substr(pg_catalog.textsend(a.query), 1, $2::int4)
  from pg_catalog.unnest($1::int4[]) p (pid)
 cross join lateral pg_catalog.pg_stat_get_activity(p.pid) a
