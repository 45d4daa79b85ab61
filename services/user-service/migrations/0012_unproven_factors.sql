-- Whether the user's address was not proven when the factor was switched on: whoever did it may have registered with
-- somebody else's address, who is rid of it by another password by mail. False too for what a version before has
-- switched on, which does not say.
alter table second_factors add column enabled_unproven boolean not null default false;
