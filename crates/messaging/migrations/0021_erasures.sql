-- Erasures are found by their time, and kept for as long as a message from before may come again.
-- reason: the table holds no more than the erasures of the last hour when this is applied.
create index messaging_erased_erased_at on messaging_erased (erased_at);
