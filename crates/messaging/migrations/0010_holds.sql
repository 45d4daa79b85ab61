-- What events wait for that the broker returned or refused: for a route (an exchange and a routing
-- key) that no queue is bound to, or whose queue is full; or for one row that the broker forbids. One
-- event of a hold is tried again now and then; when it goes through, all others follow.
create table messaging_holds (
    id bigint generated always as identity primary key,
    exchange text not null,
    routing_key text not null,
    -- The one row that is held; 0 when the whole route is.
    row_id bigint not null default 0,
    -- Tries in a row that failed; 0 once one went through: then the rows are on their way.
    attempts integer not null default 1,
    next_attempt_at timestamptz not null,
    reason text not null,
    unique (exchange, routing_key, row_id)
);

-- The hold that a row waits for: that of its route, or that of an earlier row of its aggregate.
alter table messaging_outbox
    add column hold_id bigint references messaging_holds (id);

-- Fresh rows are found without a look at those that wait.
create index messaging_outbox_fresh on messaging_outbox (partition, id) where hold_id is null;
create index messaging_outbox_held on messaging_outbox (hold_id, partition, id) where hold_id is not null;
create index messaging_outbox_held_aggregate on messaging_outbox (aggregate_id, id)
    where hold_id is not null;
drop index messaging_outbox_partition;
drop index messaging_outbox_waiting;

-- Rows come and go; what is left of them is to be cleared away every few thousand, however large the
-- table has been.
alter table messaging_outbox set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000
);
