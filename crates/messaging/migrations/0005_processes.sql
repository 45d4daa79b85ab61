-- The state of processes that span several events: one row for each, locked while it takes a step.
create table messaging_processes (
    -- Which process manager.
    kind text not null,
    -- What the events of one process have in common, such as the id of an order.
    key text not null check (octet_length(key) between 1 and 128),
    -- As its type writes it; null only within the transaction of its first step.
    state jsonb,
    -- Counts the steps.
    version bigint not null default 0,
    -- When its time-out is due; null when it waits without end or has ended.
    deadline timestamptz,
    -- When it ended. The row stays for a while, so that a late event finds it.
    ended_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (kind, key)
);

create index messaging_processes_ended_at on messaging_processes (ended_at) where ended_at is not null;
