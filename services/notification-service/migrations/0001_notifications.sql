-- Whom we can write to: a projection of user.* events. A deleted user's row stays, empty, so that a
-- late event does not write to somebody who is gone.
create table contacts (
    user_id    uuid primary key,
    email      text,
    name       text,
    -- When the newest event that was applied happened; an older one changes nothing.
    as_of      timestamptz not null,
    deleted    boolean not null default false,
    check (deleted = (email is null) and deleted = (name is null))
);

-- One row per message to one recipient over one channel.
create table notifications (
    id              uuid primary key,
    user_id         uuid not null,
    kind            text not null,
    channel         text not null check (channel in ('email')),
    -- What made it: a message's id, or a caller's key. One source, one recipient, one channel: one
    -- row, so never two mails for one event.
    source          text not null,
    -- The address; erased once it is sent or given up, when nothing needs it any more.
    recipient       text,
    subject         text not null,
    text_body       text not null,
    html_body       text not null,
    status          text not null check (status in ('pending', 'sent', 'failed')),
    attempts        integer not null,
    next_attempt_at timestamptz,
    failure_reason  text,
    -- The message or request that made it: what the worker does belongs to its trace.
    traceparent     text,
    version         bigint not null check (version > 0),
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    sent_at         timestamptz,
    check ((status = 'pending') = (next_attempt_at is not null)),
    check ((status = 'pending') = (recipient is not null))
);

create unique index notifications_source_key
    on notifications (source, user_id, channel);
create index notifications_user_id on notifications (user_id, id desc);
create index notifications_due on notifications (next_attempt_at) where status = 'pending';
