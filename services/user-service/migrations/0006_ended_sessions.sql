-- How the user tells one session from another: what the client said of itself. A replica of the version
-- before says nothing.
alter table sessions add column device text not null default '';

-- Sessions that ended before their time, until the last access token of each is over: the other services
-- are told of them and refuse those tokens.
create table ended_sessions (
    session_id uuid primary key,
    ended_at   timestamptz not null,
    told_at    timestamptz
);

create index ended_sessions_ended_at on ended_sessions (ended_at);
create index ended_sessions_untold on ended_sessions (ended_at) where told_at is null;

-- A trigger, so that nothing that ends a session can forget it, a replica of the version before included.
-- A session whose time is up has no token that is good.
create function sessions_ended() returns trigger language plpgsql as $$
begin
    insert into ended_sessions (session_id, ended_at)
    select id, now() from ended where expires_at > now()
    on conflict do nothing;
    return null;
end $$;

create trigger sessions_ended after delete on sessions
    referencing old table as ended for each statement execute function sessions_ended();
