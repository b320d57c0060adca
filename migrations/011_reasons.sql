-- Two more reasons why a tick or a look is not whole: a connection pooler stands
-- in between, and a folder is not on the host that was looked at.

insert into history.reason (id, name) values (23, 'pooler'), (24, 'not_found');

---- create above / drop below ----

delete from history.reason where id in (23, 24);
