-- A consumer is known by its queue's name, which a delivery carries. Services used to write their own
-- name, 'payment-service', for the queue 'payment-service.events'. What they claimed stays claimed.
update messaging_inbox set consumer = consumer || '.events' where consumer like '%-service';

-- While a deployment rolls out, instances of the version before go on claiming under that name.
create function messaging_inbox_consumer_is_its_queue() returns trigger language plpgsql as $$
begin
    new.consumer := new.consumer || '.events';
    return new;
end
$$;

create trigger messaging_inbox_consumer before insert on messaging_inbox
    for each row when (new.consumer like '%-service')
    execute function messaging_inbox_consumer_is_its_queue();
