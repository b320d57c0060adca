-- Which stats_db this is, and how far it was written: one that was restored from
-- an older dump, or made anew, under a running collector does not know the names
-- that the collector thinks it knows.

create table pgam.written (
    one     boolean primary key default true check (one),
    id      text    not null default md5(random()::text || clock_timestamp()::text),
    batches bigint  not null default 0
) with (fillfactor = 10);
comment on table pgam.written is 'which stats_db this is, and how often history was written to it';
comment on column pgam.written.one is 'there is one row';
comment on column pgam.written.id is 'drawn when it was made; a dump has it too';
comment on column pgam.written.batches is 'grows with every batch: less than a collector remembers says that this is an older one';
insert into pgam.written default values;

---- create above / drop below ----

drop table pgam.written;
