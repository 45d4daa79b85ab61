-- The inbox: which messages a consumer has had its effect of. The row is written in the transaction
-- of the effect, so a message delivered twice, even at the same moment, has one effect.
create table messaging_inbox (
    -- The consumer's queue: two consumers in one database each have their own effect.
    consumer text not null,
    -- The event id, else the AMQP message id, else a hash of routing key and body.
    message_id text not null,
    received_at timestamptz not null default now(),
    primary key (consumer, message_id)
);

-- Clean-up is by age.
create index messaging_inbox_received_at on messaging_inbox (received_at);
