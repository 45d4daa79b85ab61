-- SHA-256 of what a caller asked for under its key: the same key with other words, or for another user,
-- is refused. Null for what an event made, for what a replica of the version before made, and once the
-- user is deleted.
alter table notifications add column fingerprint bytea;
