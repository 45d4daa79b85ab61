-- Finding users by how their address begins, and administrators, of whom there are few. Writers wait while
-- these are built, which takes a second for some hundred thousand users.
create index users_email_prefix on users (lower(email) text_pattern_ops);
create index users_administrators on users (id) where admin;
