-- What a user wrote goes with the user: descriptions, and idempotency keys with the answers that repeat
-- them. What the law has kept stays: amounts, ids and times. A trigger, so that a replica of the version
-- before, which only closes the customer, erases too.
create function customers_closed() returns trigger language plpgsql as $$
begin
    update payments set description = null
    where user_id = new.user_id and description is not null;
    delete from idempotency_keys where user_id = new.user_id;
    return null;
end $$;

create trigger customers_closed after insert or update of closed_at on customers
    for each row when (new.closed_at is not null) execute function customers_closed();

-- Users who were deleted before.
update payments set description = null from customers
where customers.user_id = payments.user_id and customers.closed_at is not null
  and payments.description is not null;

delete from idempotency_keys using customers
where customers.user_id = idempotency_keys.user_id and customers.closed_at is not null;
