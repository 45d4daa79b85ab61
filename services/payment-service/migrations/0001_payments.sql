-- A user who may pay, opened by user.created. A closed one stays, so that a late event opens nothing.
create table customers (
    id        uuid primary key,
    user_id   uuid not null unique,
    opened_at timestamptz not null,
    closed_at timestamptz
);

-- A payment is one intent to charge one amount. Amounts are minor units of the currency.
create table payments (
    id              uuid primary key,
    user_id         uuid not null,
    amount          bigint not null check (amount between 1 and 99999999),
    currency        text not null check (currency ~ '^[A-Z]{3}$'),
    payment_method  text not null, -- the provider's token, never a card number
    description     text,
    status          text not null
                    check (status in ('processing', 'succeeded', 'requires_payment_method')),
    decline_code    text,
    decline_message text,
    provider_id     text,
    attempts        integer not null,
    next_attempt_at timestamptz, -- when the worker asks the provider, or asks again
    traceparent     text, -- the request that made it: what the worker does belongs to its trace
    version         bigint not null check (version > 0),
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    check ((status = 'processing') = (next_attempt_at is not null))
);

create index payments_user_id on payments (user_id, id desc);
create index payments_due on payments (next_attempt_at) where status = 'processing';

-- Every state a payment was in, for ever.
create table payment_history (
    payment_id uuid not null references payments (id),
    version    bigint not null,
    status     text not null,
    reason     text,
    at         timestamptz not null,
    primary key (payment_id, version)
);

-- One row per Idempotency-Key of a user: what was asked, what it made, what was answered.
create table idempotency_keys (
    user_id       uuid not null,
    key           text not null,
    fingerprint   bytea not null, -- SHA-256 of the request
    payment_id    uuid not null references payments (id),
    response_body text, -- the answer, to the byte, once there is one
    expires_at    timestamptz not null,
    primary key (user_id, key)
);

create index idempotency_keys_expires_at on idempotency_keys (expires_at);
