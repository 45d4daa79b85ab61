-- The user's version that the newest applied event told; null when that event told none, and then the
-- times of events decide what is newest.
alter table contacts add column version bigint;

-- The version of the user whose address the recipient is: what becomes of the mail says something of
-- that address only. Null when none was told, or the address is not the user's own.
alter table notifications add column recipient_version bigint;
