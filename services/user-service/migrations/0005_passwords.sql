-- Counts the passwords that the user has had: a session opens only for the password that was shown,
-- though another one was set while it was hashed.
alter table users add column password_version bigint not null default 1;

-- Addresses for which another password was asked. A request leaves one row, whether or not anybody has
-- the address; a worker looks, so that the answer and its time tell nothing. The row is gone then.
create table password_reset_requests (
    id          uuid primary key,
    email       text not null,
    -- The request: what the worker does belongs to its trace.
    traceparent text,
    created_at  timestamptz not null
);
