-- What is refused of a server that is watched: answers without end, and
-- authentication that gives the password away.

insert into history.reason (id, name) values (25, 'oversized');

alter table pgam.server add column allow_md5 boolean not null default false;
comment on column pgam.server.allow_md5 is 'MD5, and SCRAM of few rounds, are answered though TLS does not verify who asks';
comment on column pgam.server.password_sealed is 'AEAD ciphertext bound to id, host, port, user, TLS mode and allow_md5; the key is outside the database';

---- create above / drop below ----

alter table pgam.server drop column allow_md5;
delete from history.reason where id = 25;
