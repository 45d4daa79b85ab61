-- Whether whoever opened the session asks for a code where one is needed. The version before 0008 does not,
-- and would let in whoever knows the password alone, for as long as the session lasts, while it runs beside
-- this one or in its place after a way back.
alter table sessions add column code_asked boolean not null default false;

create function sessions_ask_for_codes() returns trigger language plpgsql as $$
begin
    if not new.code_asked and exists (select from second_factors
                                      where user_id = new.user_id and enabled_at is not null) then
        raise exception 'this version does not ask for the code of a second factor';
    end if;
    return new;
end $$;

create trigger sessions_ask_for_codes before insert on sessions
    for each row execute function sessions_ask_for_codes();
