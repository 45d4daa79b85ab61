-- Events whose time has not come. A row moves into messaging_outbox when it is due; it stands in a
-- table of its own, so that the outbox holds only what is to be sent now.
create table messaging_scheduled (
    -- By which it is replaced and cancelled.
    key text primary key check (octet_length(key) between 1 and 200),
    due_at timestamptz not null,
    -- As in messaging_outbox.
    event_id uuid not null,
    aggregate_id uuid not null,
    partition smallint not null check (partition between 0 and 7),
    exchange text not null,
    routing_key text not null,
    envelope bytea not null,
    mandatory boolean not null,
    traceparent text
);

create index messaging_scheduled_due_at on messaging_scheduled (due_at);
