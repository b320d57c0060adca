/* pgam:blockers */
select p.pid,
       pg_catalog.pg_blocking_pids(p.pid) as blockers
  from pg_catalog.unnest($1::int4[]) p (pid)
