-- Hosts: SSH keys and pins, disks. Also: what is asked to be purged.

create table pgam.ssh_key (
    id                bigint      generated always as identity primary key,
    name              text        not null unique,
    key_type          text        not null,
    bits              integer     not null,
    public_key        text        not null,
    fingerprint       text        not null unique,
    private_sealed    bytea       not null,
    passphrase_sealed bytea,
    description       text        not null default '',
    created_by        text        not null default '',
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);
comment on table pgam.ssh_key is 'managed SSH keys; the private part is sealed';
comment on column pgam.ssh_key.key_type is 'algorithm as SSH names it: ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 …';
comment on column pgam.ssh_key.public_key is 'the line for authorized_keys';
comment on column pgam.ssh_key.fingerprint is 'SHA256:… of the public key';
comment on column pgam.ssh_key.private_sealed is 'AEAD ciphertext of the private key in PEM, bound to id';
comment on column pgam.ssh_key.passphrase_sealed is 'AEAD ciphertext of the passphrase, bound to id; null: the private key has none';
comment on column pgam.ssh_key.created_by is 'login of the account that made or imported it';

alter table pgam.server
    add column ssh_host               text    not null default '',
    add column ssh_key_id             bigint  references pgam.ssh_key (id),
    add column ssh_host_key           text    not null default '',
    add column ssh_tunnel             boolean not null default false,
    add column disk_source            text    not null default '' check (disk_source in ('', 'none', 'ssh', 'local')),
    add column disks_interval_seconds integer check (disks_interval_seconds > 0),
    add column purge                  boolean not null default false;
comment on column pgam.server.password_sealed is 'AEAD ciphertext bound to id, host, port, user and TLS mode, and to the SSH host and ssh_port in a tunnel; the key is outside the database';
comment on column pgam.server.ssh_password_sealed is 'AEAD ciphertext bound to id, SSH host, ssh_port and ssh_user';
comment on column pgam.server.ssh_host is 'where SSH goes; empty: host';
comment on column pgam.server.ssh_key_id is 'the managed key that logs in; null: the password does';
comment on column pgam.server.ssh_host_key is 'the host''s pinned public key; empty: not pinned';
comment on column pgam.server.ssh_tunnel is 'true: PostgreSQL is reached through SSH, and host and port are as the SSH host sees them';
comment on column pgam.server.disk_source is 'how disks are looked at: none, ssh, local; empty: ssh where there are an ssh_user and a host to go to';
comment on column pgam.server.disks_interval_seconds is 'seconds between looks at disks; null: the collector''s setting';
comment on column pgam.server.purge is 'true: the server was deleted with its history, which the collector is removing';
create index server_ssh_key_idx on pgam.server (ssh_key_id) where ssh_key_id is not null;

insert into history.reason (id, name) values (21, 'host_key_unknown'), (22, 'host_key_changed');

create table history.file_system (
    server_id     bigint      not null,
    mount_point   text        not null,
    device        text        not null,
    uses          text[]      not null,
    source        text        not null,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    primary key (server_id, mount_point)
);
comment on table history.file_system is 'file systems of the servers'' hosts that hold data of PostgreSQL';
comment on column history.file_system.device is 'what is mounted; empty: unknown';
comment on column history.file_system.uses is 'what it holds, as last seen: data, wal, tablespace:NAME';
comment on column history.file_system.source is 'how it was last looked at: ssh, local, or import';

create table history.disk_usage (
    server_id    bigint      not null,
    sampled_at   timestamptz not null,
    mount_point  text        not null,
    total_bytes  bigint,
    free_bytes   bigint,
    inodes_total bigint,
    inodes_free  bigint,
    primary key (server_id, sampled_at, mount_point)
) partition by range (sampled_at);
comment on table history.disk_usage is 'how full file systems are; one in which nothing changed is written every five minutes only';
comment on column history.disk_usage.total_bytes is 'size of the file system; null: unknown';
comment on column history.disk_usage.free_bytes is 'bytes that an unprivileged process can use; null: unknown';
comment on column history.disk_usage.inodes_total is 'null: the file system has no fixed number, or it is unknown';

create view report.disk_usage as
select d.server_id,
       s.name as server,
       d.sampled_at as "time",
       d.mount_point,
       f.device,
       f.uses,
       d.total_bytes,
       d.free_bytes,
       d.inodes_total,
       d.inodes_free
  from history.disk_usage d
  join pgam.server s on s.id = d.server_id
  left join history.file_system f on f.server_id = d.server_id and f.mount_point = d.mount_point;
comment on view report.disk_usage is 'how full the file systems of each server were';

grant select on report.disk_usage to pgam_read;

---- create above / drop below ----

drop view report.disk_usage;
drop table history.disk_usage;
drop table history.file_system;
delete from history.reason where id in (21, 22);
alter table pgam.server
    drop column ssh_host, drop column ssh_key_id, drop column ssh_host_key, drop column ssh_tunnel, drop column disk_source,
    drop column disks_interval_seconds, drop column purge;
drop table pgam.ssh_key;
