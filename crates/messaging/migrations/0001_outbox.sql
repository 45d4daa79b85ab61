-- The transactional outbox: an event is a row of the transaction that made it happen. The relay
-- publishes rows and deletes each when the broker has confirmed it, so an empty table means that
-- everything was sent.
create table messaging_outbox (
    -- Order of insertion. The order of two rows of one aggregate is the order of their commits,
    -- because the writer of the second waits for the row lock that the first one holds.
    id bigint generated always as identity primary key,
    -- The message id: the same however often the row is sent.
    event_id uuid not null,
    aggregate_id uuid not null,
    -- Hash of aggregate_id, 0 to 7: what one relay leases at a time.
    partition smallint not null check (partition between 0 and 7),
    exchange text not null,
    routing_key text not null check (length(routing_key) between 1 and 255),
    -- The message's body, byte for byte.
    envelope bytea not null,
    -- Whether it waits until a queue is bound for it, or is gone when nobody listens.
    mandatory boolean not null,
    -- W3C trace context of the request that made it happen.
    traceparent text,
    created_at timestamptz not null default now(),
    -- How often the broker refused or returned it, when to try again, and why it was refused.
    attempts integer not null default 0,
    available_at timestamptz not null default now(),
    last_error text
);

-- The relay reads a partition in order of insertion.
create index messaging_outbox_partition on messaging_outbox (partition, id);

-- A row that waits for another try holds back the later rows of its aggregate, and only those.
create index messaging_outbox_waiting on messaging_outbox (aggregate_id, id) where attempts > 0;
