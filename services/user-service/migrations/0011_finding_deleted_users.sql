-- Finding users who are deleted, of whom there are few.
-- reason: writers wait for one pass over the table that keeps few rows, less than a second for a million users.
create index users_deleted on users (id) where status = 'deleted';
