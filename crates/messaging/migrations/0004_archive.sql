-- What the broker has confirmed, where `[outbox] archive` is on: for readers that come later. A row is
-- deleted when it is older than that, or when its aggregate is erased.
create table messaging_archive (
    -- Of one event that is sent again, the first row is kept.
    event_id uuid primary key,
    -- Its id in the outbox: the order in which events are listed and sent again.
    id bigint not null,
    aggregate_id uuid not null,
    partition smallint not null,
    exchange text not null,
    routing_key text not null,
    envelope bytea not null,
    mandatory boolean not null,
    sent_at timestamptz not null default now()
);

create index messaging_archive_id on messaging_archive (id);
create index messaging_archive_type on messaging_archive (routing_key, id);
create index messaging_archive_aggregate_id on messaging_archive (aggregate_id);
create index messaging_archive_sent_at on messaging_archive (sent_at);

-- Aggregates that were erased: events of theirs that were still in the outbox at that time are sent
-- and not archived.
create table messaging_erased (
    aggregate_id uuid primary key,
    -- Events whose id in the outbox is lower are from before.
    up_to bigint not null,
    erased_at timestamptz not null default now()
);

create index messaging_erased_up_to on messaging_erased (up_to);
