-- Addresses that their owners have proven, and those that are asked for and not proven yet.
alter table users
    -- The version of the address (email_version) that was proven: the address is verified while it has
    -- that version. So it is not once a replica of the version before has changed it.
    add column email_verified_version bigint,
    -- The address that becomes the user's own once it is proven.
    add column pending_email text;

-- Tokens that went out by mail: each proves that whoever shows it reads what comes to an address. Only
-- the hash is kept; the token is made from the id with a key that is in no table.
create table mail_tokens (
    id         uuid primary key,
    user_id    uuid not null references users (id) on delete cascade,
    purpose    text not null check (purpose in ('verification', 'password_reset')),
    email      text not null,
    token_hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create unique index mail_tokens_token_hash_key on mail_tokens (token_hash);
create index mail_tokens_user_id on mail_tokens (user_id);
create index mail_tokens_expires_at on mail_tokens (expires_at);

-- A replica of the version before deletes a user without knowing of either. A later file may drop the
-- trigger once no such replica is left.
create function users_erased() returns trigger language plpgsql as $$
begin
    new.pending_email := null;
    delete from mail_tokens where user_id = new.id;
    return new;
end $$;

create trigger users_erased before update of status on users
    for each row when (new.status = 'deleted') execute function users_erased();
