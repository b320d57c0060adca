-- The right to write the history, as a row: a session's lock lives as long as
-- its connection, and that of a frozen collector as long as TCP does.

create table pgam.lease (
    one        boolean     primary key default true check (one),
    holder     text,
    term       bigint      not null,
    beats      bigint      not null default 0,
    renewed_at timestamptz not null default clock_timestamp()
) with (fillfactor = 10);
comment on table pgam.lease is 'the one collector that samples and writes the history; another takes over when beats stands still for ten seconds';
comment on column pgam.lease.one is 'there is one row';
comment on column pgam.lease.holder is 'host and journal of the collector; null: it gave the lease back';
comment on column pgam.lease.term is 'grows with every taking: what is written names the term it was seen in';
comment on column pgam.lease.beats is 'grows every two seconds while the holder is well';
comment on column pgam.lease.renewed_at is 'of the last beat, by this server''s clock; to look at, nothing is decided by it';

alter table history.rollup_due
    add column tries integer not null default 0;
comment on column history.rollup_due.tries is 'times in a row that it could not be made: those that fail come last';

---- create above / drop below ----

alter table history.rollup_due drop column tries;
drop table pgam.lease;
