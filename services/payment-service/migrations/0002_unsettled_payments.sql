-- When the provider's idempotency key of the payment was retired: from then on the payment is not
-- charged any more, only looked up.
alter table payments add column key_retired_at timestamptz;

-- Twelve digits, which IDR has. What each currency takes is checked before a payment is made. Not
-- valid, so that no row is read under the lock: all of them keep the bound before, which is closer.
alter table payments drop constraint payments_amount_check;
alter table payments add constraint payments_amount_check
    check (amount between 1 and 999999999999) not valid;
