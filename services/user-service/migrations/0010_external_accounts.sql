-- Who a user is to an external issuer (OpenID Connect): what lets the user in besides the password. A user has one
-- account at an issuer at most, and an issuer's account is one user's.
create table external_accounts (
    id         uuid primary key,
    user_id    uuid not null references users (id) on delete cascade,
    -- How the issuer names itself, and the user: `iss` and `sub` of its tokens.
    issuer     text not null,
    subject    text not null,
    created_at timestamptz not null,
    -- When the user was let in by it last.
    used_at    timestamptz
);

create unique index external_accounts_subject_key on external_accounts (issuer, subject);
create unique index external_accounts_user_key on external_accounts (user_id, issuer);

-- A user who is deleted has none, whatever version of the service deletes.
create function users_external_accounts_erased() returns trigger language plpgsql as $$
begin
    delete from external_accounts where user_id = new.id;
    return new;
end $$;

create trigger users_external_accounts_erased after update of status on users
    for each row when (new.status = 'deleted') execute function users_external_accounts_erased();

-- Browsers that were sent to the issuer and have not come back yet. What only the browser has, and what the issuer
-- gives back, are kept as hashes; the rest of a flow's secrets is made of what the browser has.
create table external_flows (
    id           uuid primary key,
    issuer       text not null,
    state_hash   bytea not null,
    browser_hash bytea not null,
    -- Of a signed-in user who links an account: the session that began, with which the flow ends. Null at a sign-in.
    session_id   uuid references sessions (id) on delete cascade,
    -- The issuer's code is being exchanged, or was: it is good once.
    claimed_at   timestamptz,
    -- Who it is, once the issuer has said so: a code of a second factor is still to come.
    account_id   uuid references external_accounts (id) on delete cascade,
    created_at   timestamptz not null,
    expires_at   timestamptz not null
);

create unique index external_flows_state_hash_key on external_flows (state_hash);
create index external_flows_session_id on external_flows (session_id);
create index external_flows_account_id on external_flows (account_id);
create index external_flows_expires_at on external_flows (expires_at);
