/* pgam:inventory */
select d.oid,
       d.datname,
       d.datistemplate,
       d.datallowconn,
       pg_catalog.pg_encoding_to_char(d.encoding) as encoding
  from pg_catalog.pg_database d
 order by 1
 limit 20000
