-- The generation of a session's current tokens counts the exchanges that led to them. parent_hash is
-- the token whose exchange began the generation and rotated_at is when: within a short time the same
-- token may be exchanged again, because the first answer may have been lost. A replica of the version
-- before exchanges tokens without these columns; such an exchange leaves no former token.
alter table sessions
    add column generation  bigint not null default 1 check (generation > 0),
    add column parent_hash bytea,
    add column rotated_at  timestamptz;

-- The tokens of a session besides the newest, which stands in sessions: used ones, and unused ones of
-- the current generation whose answer may have been lost. A used one that is presented again ends the
-- session (RFC 9700, section 4.14.2). Only the hash is kept, for as long as the token itself would have
-- been valid.
create table former_refresh_tokens (
    refresh_hash bytea primary key,
    session_id   uuid not null references sessions (id) on delete cascade,
    generation   bigint not null,
    expires_at   timestamptz not null
);

create index former_refresh_tokens_session_id on former_refresh_tokens (session_id);
create index former_refresh_tokens_expires_at on former_refresh_tokens (expires_at);
