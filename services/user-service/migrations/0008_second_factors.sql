-- What the codes of a user's authenticator app are made of, and what was used of it. One row a user at
-- most: pending until a first right code (enabled_at), gone when the user switches it off.
create table second_factors (
    user_id         uuid primary key references users (id) on delete cascade,
    -- AES-256-GCM, bound to the user; key_id names the key of the settings that opens it.
    key_id          text not null,
    sealed_secret   bytea not null,
    -- The newest step of thirty seconds whose code was accepted: no code is accepted twice.
    last_step       bigint not null,
    -- SHA-256 of the recovery codes that are left.
    recovery_hashes bytea[] not null default '{}',
    created_at      timestamptz not null,
    enabled_at      timestamptz
);

-- For sealing anew what was sealed with a former key.
create index second_factors_key_id on second_factors (key_id);

-- A user who is deleted has none, whatever version of the service deletes.
create function users_second_factor_erased() returns trigger language plpgsql as $$
begin
    delete from second_factors where user_id = new.id;
    return new;
end $$;

create trigger users_second_factor_erased after update of status on users
    for each row when (new.status = 'deleted') execute function users_second_factor_erased();
