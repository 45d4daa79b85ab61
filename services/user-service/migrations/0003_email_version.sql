-- The version of the user at which the address last changed: a mail that failed was for the current
-- address when the user's version at that time is no lower. What was before this file is not known, so
-- that it counts as changed just now.
alter table users add column email_version bigint not null default 1;

update users set email_version = version where version > 1;

-- A replica of the version before changes an address without the column. A later file may drop the
-- trigger once no such replica is left.
create function users_email_version() returns trigger language plpgsql as $$
begin
    if new.email is distinct from old.email and new.email_version = old.email_version then
        new.email_version := new.version;
    end if;
    return new;
end $$;

create trigger users_email_version before update of email on users
    for each row execute function users_email_version();
