-- A user is one row; version counts its changes (ETag and If-Match).
create table users (
    id                uuid primary key,
    email             text not null,
    name              text not null,
    password_hash     text, -- argon2id in PHC form; null once the user is deleted
    admin             boolean not null default false,
    status            text not null check (status in ('active', 'deleted')),
    email_deliverable boolean not null,
    version           bigint not null check (version > 0),
    created_at        timestamptz not null,
    updated_at        timestamptz not null
);

-- The index's name is how the store tells "taken" from other faults. Case does not make another address.
create unique index users_email_key on users (lower(email));

-- A session is a refresh token in use; each use replaces the hash. Only the hash is kept.
create table sessions (
    id           uuid primary key,
    user_id      uuid not null references users (id) on delete cascade,
    refresh_hash bytea not null,
    created_at   timestamptz not null,
    expires_at   timestamptz not null
);

create unique index sessions_refresh_hash_key on sessions (refresh_hash);
create index sessions_user_id on sessions (user_id);
create index sessions_expires_at on sessions (expires_at);
