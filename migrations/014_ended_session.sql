-- Who logs out ends the tokens of that login, and of no other.

create table pgam.ended_session (
    account_id bigint not null references pgam.account (id) on delete cascade,
    session    text not null check (length(session) between 1 and 64),
    expires_at timestamptz not null,
    primary key (account_id, session)
);
comment on table pgam.ended_session is 'logins that were logged out; kept until the last token of the login has expired';
comment on column pgam.ended_session.session is 'claim sid of the tokens of the login';
comment on column pgam.ended_session.expires_at is 'when the last token of the login expires, at the latest';

---- create above / drop below ----

drop table pgam.ended_session;
