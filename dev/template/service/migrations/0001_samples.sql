-- One row per sample; version counts its changes.
create table samples (
    id              uuid primary key,
    user_id         uuid not null,
    idempotency_key text not null, -- the caller's: asked again with it, the first one is given
    title           text not null, -- empty once it is erased
    status          text not null check (status in ('open', 'closed')),
    version         bigint not null check (version > 0),
    created_at      timestamptz not null,
    updated_at      timestamptz not null
);

create unique index samples_idempotency_key on samples (user_id, idempotency_key);
create index samples_user_id on samples (user_id, id);
create index samples_closed on samples (updated_at) where status = 'closed';
