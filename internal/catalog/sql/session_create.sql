/* pgam:session_create */
with expired as (
     delete from pgam.session
      where expires_at < now()),
     surplus as (
     delete from pgam.session
      where token_hash = any (array(
            select token_hash
              from pgam.session
             where account_id = @account_id
             order by created_at desc
            offset @most - 1)))
insert into pgam.session (token_hash, account_id, token_epoch, expires_at)
values (@hash, @account_id, @token_epoch, now() + @longest::interval)
returning created_at, used_at
