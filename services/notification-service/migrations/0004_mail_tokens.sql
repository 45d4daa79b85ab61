-- Mail to the address was refused for good: what is not about the account itself is not sent there any
-- more.
alter table contacts add column undeliverable boolean not null default false;

-- The token whose link is in the mail, and when it is no longer good. The link is made when the mail is
-- sent, of the id and a key that is in no table; the texts have a place for it.
alter table notifications
    add column token_id   uuid,
    add column expires_at timestamptz,
    add constraint notifications_token_expires
        check ((token_id is null) = (expires_at is null)) not valid;
alter table notifications validate constraint notifications_token_expires;
