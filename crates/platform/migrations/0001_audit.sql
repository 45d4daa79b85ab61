-- Who did what: ids of users and names of services, no personal data. What strangers can cause as
-- often as they like is counted by the hour instead of being recorded one by one.
create table audit (
    id         uuid primary key, -- version 7: the order in time
    at         timestamptz not null,
    last_at    timestamptz not null, -- of the latest that is counted here
    times      bigint not null default 1 check (times > 0),
    actor      text not null, -- anybody, user:ID, administrator:ID, service:NAME
    action     text not null,
    target     text not null, -- empty: none, or not said
    outcome    text not null,
    request_id text, -- null where several are counted
    hour       timestamptz -- null where one is recorded
);

create unique index audit_counted on audit (hour, actor, action, target, outcome)
    where hour is not null;
create index audit_last_at on audit (last_at);
