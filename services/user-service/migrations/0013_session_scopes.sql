-- What of the user's rights the tokens of a session carry, as their claim `scope` says it. Null means all of them, as of
-- every session that a version before has opened: the rows that are there need no look, so nothing is validated.
alter table sessions
    add column scope text,
    -- The refresh token's hash once more, by whoever knows of scopes. A replica of the version before exchanges the
    -- token without it, and would give a narrowed session an access token that is not: the exchange fails, and is
    -- good at another replica.
    add column scope_refresh_hash bytea,
    add constraint sessions_scope_bounds check (length(scope) between 1 and 1024) not valid,
    add constraint sessions_scope_kept
        check (scope is null or scope_refresh_hash is not distinct from refresh_hash) not valid;
