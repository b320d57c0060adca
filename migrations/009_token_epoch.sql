-- Tokens name the id of an account and an epoch that is drawn at random, so that
-- no token counts for another account, and none again once it was ended. Whoever
-- changes what the account may do ends its tokens, in SQL too.

create function pgam.new_token_epoch() returns bigint
language sql volatile
as $$ select 1 + floor(pg_catalog.random() * 9007199254740991)::bigint $$;
comment on function pgam.new_token_epoch() is 'a number from 1 to 2^53 - 1, drawn at random';

alter table pgam.account
    alter column token_epoch drop default,
    alter column token_epoch type bigint using pgam.new_token_epoch(),
    alter column token_epoch set default pgam.new_token_epoch();
comment on column pgam.account.token_epoch is 'drawn at random; another one ends every token issued before';

create function pgam.renew_token_epoch() returns trigger
language plpgsql
as $$
begin
    if new.token_epoch = old.token_epoch then
        new.token_epoch := pgam.new_token_epoch();
    end if;
    return new;
end
$$;
comment on function pgam.renew_token_epoch() is 'ends the tokens of an account whose password, role or state was changed';

create trigger renew_token_epoch
    before update on pgam.account
    for each row
    when ((old.password_hash, old.role, old.active) is distinct from (new.password_hash, new.role, new.active))
    execute function pgam.renew_token_epoch();

---- create above / drop below ----

drop trigger renew_token_epoch on pgam.account;
drop function pgam.renew_token_epoch();
alter table pgam.account
    alter column token_epoch drop default,
    alter column token_epoch type integer using 0,
    alter column token_epoch set default 0;
drop function pgam.new_token_epoch();
