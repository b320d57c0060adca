-- The catalog: what is watched and who may ask. Small tables; secrets sealed.

create schema pgam;
comment on schema pgam is 'pgam: servers, accounts and sealed secrets';
create schema history;
comment on schema history is 'pgam: what was sampled, partitioned by time; written by the collector only';
create schema report;
comment on schema report is 'pgam: stable read-only views for people, Grafana and BI';

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'pgam_read') then
        create role pgam_read nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then
        raise exception 'the role pgam_read does not exist and this user may not create it'
            using hint = 'Run as a superuser: create role pgam_read nologin;';
end
$$;

create sequence pgam.revision as bigint;
comment on sequence pgam.revision is 'one number a change of any server; readers compare it to see that they are up to date';

create table pgam.server (
    id                         bigint      generated always as identity primary key,
    name                       text        not null,
    host                       text        not null,
    port                       integer     not null check (port between 1 and 65535),
    user_name                  text        not null,
    database_name              text        not null default 'postgres',
    tls_mode                   text        not null default 'prefer',
    password_sealed            bytea,
    ssh_user                   text        not null default '',
    ssh_port                   integer     not null default 22 check (ssh_port between 1 and 65535),
    ssh_password_sealed        bytea,
    stats_db                   text,
    pool_profile               text        not null default 'default',
    activity_interval_seconds  integer     check (activity_interval_seconds > 0),
    databases_interval_seconds integer     check (databases_interval_seconds > 0),
    inventory_interval_seconds integer     check (inventory_interval_seconds > 0),
    sizes_interval_seconds     integer     check (sizes_interval_seconds > 0),
    enabled                    boolean     not null default true,
    revision                   bigint      not null default nextval('pgam.revision'),
    created_at                 timestamptz not null default now(),
    updated_at                 timestamptz not null default now(),
    deleted_at                 timestamptz
);
create unique index server_name_key on pgam.server (name) where deleted_at is null;
create index server_revision_idx on pgam.server (revision);

comment on table pgam.server is 'watched servers; a deleted one stays as a row, hidden, as long as its history does';
comment on column pgam.server.id is 'never reused; every row of history belongs to it';
comment on column pgam.server.name is 'unique among the servers that are not deleted';
comment on column pgam.server.host is 'name, address, or absolute path of a Unix socket''s folder';
comment on column pgam.server.tls_mode is 'libpq''s sslmode';
comment on column pgam.server.password_sealed is 'AEAD ciphertext bound to id, host, port, user and TLS mode; the key is outside the database';
comment on column pgam.server.ssh_password_sealed is 'AEAD ciphertext bound to id, host, ssh_port and ssh_user';
comment on column pgam.server.stats_db is 'kept for clients of the Python version; null for none';
comment on column pgam.server.pool_profile is 'size of the API''s pool: default, stats_db or high_load';
comment on column pgam.server.activity_interval_seconds is 'seconds between activity ticks; null: the collector''s setting';
comment on column pgam.server.databases_interval_seconds is 'seconds between reads of pg_stat_database; null: the collector''s setting';
comment on column pgam.server.inventory_interval_seconds is 'seconds between listings of databases; null: the collector''s setting';
comment on column pgam.server.sizes_interval_seconds is 'seconds between rounds of database sizes; null: the collector''s setting';
comment on column pgam.server.enabled is 'false pauses collection';
comment on column pgam.server.revision is 'from the sequence pgam.revision at the last change';
comment on column pgam.server.deleted_at is 'set when the server was removed: collection stops, history stays until retention';

create table pgam.account (
    id            bigint      generated always as identity primary key,
    login         text        not null unique,
    password_hash text        not null,
    role          text        not null check (role in ('viewer', 'operator', 'admin')),
    active        boolean     not null default true,
    token_epoch   integer     not null default 0,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    last_login_at timestamptz
);
comment on table pgam.account is 'who may ask the API';
comment on column pgam.account.password_hash is 'bcrypt';
comment on column pgam.account.token_epoch is 'raised to end every token issued before';

grant usage on schema report to pgam_read;

---- create above / drop below ----

drop schema report cascade;
drop schema history cascade;
drop schema pgam cascade;
