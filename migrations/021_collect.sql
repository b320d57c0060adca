-- Windows, what was due to be summed up or packed, and the count of batches are
-- gone with the code that wrote them.
drop table history.activity_window, history.rollup_due, history.packed_day, history.packing cascade;

alter table pgam.written rename to instance;
alter table pgam.instance drop column batches;
comment on table pgam.instance is 'which stats_db this is: one that was made anew under a running collector has another id';
comment on column pgam.instance.one is 'there is one row';
comment on column pgam.instance.id is 'drawn when it was made; a dump has it too: history.progress.flushes tells an older one';

comment on table pgam.lease is 'the one collector that samples; another takes over when beats stands still for ten seconds';
comment on column pgam.lease.term is 'grows with every taking';
