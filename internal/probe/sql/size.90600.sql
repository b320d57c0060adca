/* pgam:size */
select pg_catalog.pg_database_size($1::oid) as size_bytes
