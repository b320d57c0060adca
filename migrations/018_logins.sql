-- What all processes of the API share of logins.

-- Leaky buckets: how many attempts came from an address and a network of late,
-- and how many on an account from places that it does not know. Not logged: a
-- crash empties them, and they cost no write to a standby.
create unlogged table pgam.login_bucket (
    key       bytea            primary key,
    level     double precision not null,
    capacity  double precision not null,
    drain     double precision not null,
    is_full   boolean          not null default false,
    filled_at timestamptz      not null default now()
);
create index login_bucket_filled_idx on pgam.login_bucket (filled_at);
comment on table pgam.login_bucket is 'attempts to log in, of the last hour';
comment on column pgam.login_bucket.key is 'SHA-256 of what is counted: an address, a network or a login';
comment on column pgam.login_bucket.level is 'attempts that have not drained yet, as of filled_at';
comment on column pgam.login_bucket.capacity is 'attempts that it holds';
comment on column pgam.login_bucket.drain is 'attempts that run out of it in a second';
comment on column pgam.login_bucket.is_full is 'the last attempt found no room';

create table pgam.login_origin (
    account_id bigint      not null references pgam.account on delete cascade,
    network    text        not null,
    last_at    timestamptz not null default now(),
    primary key (account_id, network)
);
create index login_origin_network_idx on pgam.login_origin (network);
comment on table pgam.login_origin is 'where accounts have logged in from: they go first when many try';
comment on column pgam.login_origin.network is 'a /24 of IPv4, a /48 of IPv6';
comment on column pgam.login_origin.last_at is 'to a day';

---- create above / drop below ----

drop table pgam.login_origin;
drop table pgam.login_bucket;
