//! The relay: order, sharing, and what it does when the broker says no or says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contracts::notification::NotificationSent;
use contracts::{NotificationId, UserId};
use lapin::ExchangeKind;
use lapin::message::Delivery;
use messaging::{Outbox, Relay};
use serde_json::json;
use testkit::Proxy;
use uuid::Uuid;

use crate::raw::{api_put, json as body};
use crate::world::{EXCHANGE, Running, World, created, updated};

#[tokio::test]
async fn events_of_one_aggregate_keep_their_order() {
    let world = World::new("order").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let relay = world.relay(&outbox);

    for place in 0..20 {
        for aggregate in 0..10 {
            world.emit(&outbox, &updated(aggregate, place)).await;
        }
    }

    assert_in_order(&client.take(&queue, 200).await, 20);
    relay.stop().await;
}

#[tokio::test]
async fn a_commit_that_wakes_the_relay_does_not_wait_for_the_poll() {
    let mut world = World::new("wake").await;
    world.settings.relay.poll_interval = Duration::from_secs(3600);
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    for number in 0..5 {
        world.emit(&outbox, &created(number)).await;
        client.next(&queue).await;
    }
}

#[tokio::test]
async fn a_backlog_of_one_aggregate_keeps_its_order() {
    let mut world = World::new("backlog").await;
    world.settings.relay.batch_size = 7.try_into().unwrap();
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    for place in 0..50 {
        world.emit(&outbox, &updated(1, place)).await;
    }

    let _relay = world.relay(&outbox);

    assert_in_order(&client.take(&queue, 50).await, 50);
}

#[tokio::test]
async fn connections_closed_by_the_broker_lose_nothing() {
    let world = World::new("closed").await;
    let client = world.client().await;
    // A queue that outlives its connection: the test's own client is closed as well.
    let queue = client.queue("kept").await;
    client.bind(&queue, EXCHANGE, "#").await;
    let outbox = world.outbox();
    let relay = world.relay(&outbox);

    for place in 0..60 {
        for aggregate in 0..5 {
            world.emit(&outbox, &updated(aggregate, place)).await;
        }
        if place % 20 == 10 {
            world.broker.close_all_connections().await;
        }
    }

    world.outbox_is_empty().await;
    let client = world.client().await;
    let received = client.rest(&queue).await;
    assert_in_order_with_repeats(&received, 60);
    let ids: BTreeSet<_> = received.iter().map(id).collect();
    assert_eq!(ids.len(), 300, "every committed event arrived");
    relay.stop().await;
}

#[tokio::test]
async fn a_broker_that_hangs_loses_nothing() {
    let mut world = World::new("hangs").await;
    let proxy = Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    world.emit(&outbox, &updated(1, 0)).await;
    world.outbox_is_empty().await;

    proxy.freeze().await;
    for place in 1..10 {
        world.emit(&outbox, &updated(1, place)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.outbox_depth().await, 9, "without a confirm a row stays");
    proxy.restore().await;

    world.outbox_is_empty().await;
    assert_in_order_with_repeats(&client.rest(&queue).await, 10);
}

#[tokio::test]
async fn an_unroutable_event_is_kept_and_delivered_once_a_queue_is_bound() {
    let world = World::new("unroutable").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "user.updated").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    // Nobody is bound for user.created: user 1's update waits behind it, user 2's does not.
    let first = world.emit(&outbox, &created(1)).await;
    let second = world.emit(&outbox, &updated(1, 0)).await;
    let others = world.emit(&outbox, &updated(2, 0)).await;
    assert_eq!(id(&client.next(&queue).await), others.to_string());
    let why = reason(&world).await;
    assert_eq!(why, "no queue is bound for it");
    assert!(client.rest(&queue).await.is_empty(), "user 1's update does not overtake");
    assert_eq!(world.outbox_depth().await, 2);

    client.bind(&queue, EXCHANGE, "user.created").await;

    let order: Vec<_> = client.take(&queue, 2).await.iter().map(id).collect();
    assert_eq!(order, [first.to_string(), second.to_string()]);
    world.outbox_is_empty().await;
}

#[tokio::test]
async fn an_event_that_is_not_mandatory_is_gone_when_nobody_listens() {
    let world = World::new("unheard").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    world.emit(&outbox, &sent()).await;
    world.outbox_is_empty().await;
}

#[tokio::test]
async fn two_relays_share_the_work_and_keep_the_order() {
    let mut world = World::new("two relays").await;
    world.settings.relay.batch_size = 5.try_into().unwrap();
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    // The relays publish under names of their own, to be told apart.
    let outboxes = ["one", "two"].map(|name| Outbox::new(name, &world.settings));
    for place in 0..20 {
        for aggregate in 0..40 {
            world.emit(&outboxes[0], &updated(aggregate, place)).await;
        }
    }

    let _relays = outboxes.each_ref().map(|outbox| world.relay(outbox));

    let received = client.take(&queue, 800).await;
    assert_in_order(&received, 20);
    world.outbox_is_empty().await;
    assert!(client.rest(&queue).await.is_empty(), "none is sent twice");
    let relays: BTreeSet<String> = received
        .iter()
        .map(|message| message.properties.app_id().as_ref().unwrap().as_str().to_owned())
        .collect();
    assert_eq!(relays.len(), 2, "both have published");
}

#[tokio::test]
async fn a_killed_relay_leaves_its_rows_to_the_next() {
    let world = World::new("killed").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    for place in 0..30 {
        for aggregate in 0..10 {
            world.emit(&outbox, &updated(aggregate, place)).await;
        }
    }

    for _ in 0..5 {
        let relay = world.relay(&outbox);
        testkit::eventually("the relay is at work", async || {
            (client.ready(&queue).await > 0).then_some(())
        })
        .await;
        drop(relay);
    }
    let _relay = world.relay(&outbox);

    world.outbox_is_empty().await;
    let received = client.rest(&queue).await;
    assert_in_order_with_repeats(&received, 30);
    assert_eq!(received.iter().map(id).collect::<BTreeSet<_>>().len(), 300);
}

#[tokio::test]
async fn a_message_that_the_broker_forbids_does_not_hold_up_the_others() {
    let world = World::new("forbidden").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    // The broker answers a forbidden key by closing the channel, with all that is under way on it.
    let rule = json!({"exchange": EXCHANGE, "write": "^user\\.updated$", "read": ".*"});
    let vhost = &world.broker.vhost;
    let name = &world.broker.username;
    api_put(format!("topic-permissions/{vhost}/{name}"), rule).await;
    world.emit(&outbox, &created(1)).await;
    for aggregate in 2..50 {
        world.emit(&outbox, &updated(aggregate, 0)).await;
    }

    let _relay = world.relay(&outbox);

    let received: BTreeSet<_> = client.take(&queue, 48).await.iter().map(id).collect();
    assert_eq!(received.len(), 48);
    let left = sqlx::query_as::<_, (String, String)>(
        "select routing_key, last_error from messaging_outbox where attempts > 0",
    );
    let left = left.fetch_all(&world.pool).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, "user.created");
}

#[tokio::test]
async fn events_of_an_exchange_of_another_kind_wait_and_say_why_and_others_flow() {
    let world = World::new("exchange drift").await;
    let client = world.client().await;
    client.exchange("notification.events", ExchangeKind::Direct).await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    world.emit(&outbox, &sent()).await;
    let others = world.emit(&outbox, &created(1)).await;

    assert_eq!(id(&client.next(&queue).await), others.to_string());
    let why = reason(&world).await;
    assert!(why.starts_with("notification.events exists with other arguments"), "{why}");
}

#[tokio::test]
async fn a_fresh_event_does_not_wait_behind_thirty_thousand_that_nobody_is_bound_for() {
    let mut world = World::new("fair").await;
    world.settings.relay = messaging::RelaySettings::default();
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "user.updated").await;
    rows(&world, 30_000).await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    for number in 0..10 {
        // In the partition of the others, whose first row is at the head of the table.
        let event = world.emit(&outbox, &updated(number, 0)).await;
        assert_eq!(id(&client.next(&queue).await), event.to_string());
    }
    testkit::eventually("all others wait", async || {
        (count(&world, "select count(*) from messaging_outbox where hold_id is null").await == 0)
            .then_some(())
    })
    .await;

    let event = world.emit(&outbox, &updated(11, 0)).await;

    assert_eq!(id(&client.next(&queue).await), event.to_string());
    assert_eq!(count(&world, "select count(*) from messaging_holds").await, 1);
    let tried = count(&world, "select sum(attempts)::bigint from messaging_outbox").await;
    assert!(tried < 10_000, "{tried} tries: those behind the first are held without a try");
    client.bind(&queue, EXCHANGE, "user.created").await;
    testkit::eventually("the others follow", async || {
        (world.outbox_depth().await == 0).then_some(())
    })
    .await;
    assert_eq!(client.ready(&queue).await, 30_000);
    testkit::eventually("the hold is gone", async || {
        (count(&world, "select count(*) from messaging_holds").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_fresh_event_does_not_wait_behind_thousands_that_are_forbidden() {
    let world = World::new("forbidden flood").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let rule = json!({"exchange": EXCHANGE, "write": "^user\\.updated$", "read": ".*"});
    let vhost = &world.broker.vhost;
    let name = &world.broker.username;
    api_put(format!("topic-permissions/{vhost}/{name}"), rule).await;
    rows(&world, 12_000).await;
    let outbox = world.outbox();
    let event = world.emit(&outbox, &updated(1, 0)).await;

    let _relay = world.relay(&outbox);

    assert_eq!(id(&client.next(&queue).await), event.to_string());
    testkit::eventually("all others wait for one hold", async || {
        (count(&world, "select count(*) from messaging_outbox where hold_id is null").await == 0)
            .then_some(())
    })
    .await;
    assert_eq!(count(&world, "select count(*) from messaging_holds").await, 1);
}

#[tokio::test]
async fn the_partitions_of_a_relay_whose_machine_vanished_go_to_another_one() {
    let mut world = World::new("vanished").await;
    // What the database waits for is twice this and the time of a statement.
    world.settings.relay.confirm_timeout = Duration::from_secs(2);
    let (proxy, pool) = behind_a_proxy(&world).await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let held =
        sqlx::query("select pg_advisory_xact_lock(1869965410, p) from generate_series(0, 7) p");
    let limit = "set local idle_in_transaction_session_timeout = '9s'";
    let mut vanished = pool.begin().await.unwrap();
    sqlx::query(limit).execute(&mut *vanished).await.unwrap();
    held.execute(&mut *vanished).await.unwrap();
    proxy.strand().await;
    let _relay = world.relay(&outbox);

    let event = world.emit(&outbox, &created(1)).await;

    assert_eq!(id(&client.next(&queue).await), event.to_string());
    std::mem::forget(vanished);
}

#[tokio::test]
async fn a_relay_goes_on_when_its_connections_to_the_database_hang_for_good() {
    let world = World::new("stranded").await;
    let (proxy, pool) = behind_a_proxy(&world).await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let relay = Relay::new(pool, world.connect(), outbox.clone(), &world.settings);
    let _relay = Running::start(|shutdown| relay.run(shutdown));
    world.emit(&outbox, &created(1)).await;
    client.next(&queue).await;

    proxy.strand().await;
    let event = world.emit(&outbox, &created(2)).await;

    testkit::eventually("it is sent over a new connection", async || {
        (world.outbox_depth().await == 0).then_some(())
    })
    .await;
    assert!(client.rest(&queue).await.iter().any(|message| id(message) == event.to_string()));
}

#[tokio::test]
async fn an_event_of_a_long_transaction_comes_before_the_next_of_its_aggregate() {
    let world = World::new("long transaction").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let mut long = world.pool.begin().await.unwrap();
    outbox.enqueue(&mut long, Uuid::now_v7(), chrono::Utc::now(), &updated(1, 0)).await.unwrap();

    // Meanwhile the relay looks again and again at what is behind it.
    for number in 2..40 {
        world.emit(&outbox, &updated(number, 0)).await;
        client.next(&queue).await;
    }
    long.commit().await.unwrap();
    world.emit(&outbox, &updated(1, 1)).await;

    assert_in_order(&client.take(&queue, 2).await, 2);
}

#[tokio::test]
async fn a_change_of_the_table_in_the_middle_of_two_batches_stops_nothing() {
    let world = World::new("altered").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    for round in 0..20 {
        for number in 0..40 {
            world.emit(&outbox, &updated(number, round)).await;
        }
        let alter =
            format!("alter table messaging_outbox alter routing_key type varchar({})", 300 + round);
        sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(&world.pool).await.unwrap();
    }

    assert_in_order(&client.take(&queue, 800).await, 20);
}

/// A pool of two connections through a proxy.
async fn behind_a_proxy(world: &World) -> (Proxy, sqlx::PgPool) {
    let proxy = Proxy::start(world.database.server()).await;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2);
    let pool = pool.connect(&world.database.url_through(proxy.address())).await.unwrap();
    (proxy, pool)
}

fn sent() -> NotificationSent {
    NotificationSent {
        notification_id: NotificationId::from_uuid(Uuid::now_v7()),
        user_id: UserId::from_uuid(Uuid::now_v7()),
        kind: "welcome".to_owned(),
        channel: "email".to_owned(),
    }
}

/// Rows of `user.created`, each of an aggregate of its own.
async fn rows(world: &World, number: i32) {
    let insert = "insert into messaging_outbox
             (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory)
         select gen_random_uuid(), gen_random_uuid(), n % 8, $1, 'user.created',
                convert_to('{}', 'UTF8'), true
         from generate_series(1, $2) as n";
    sqlx::query(insert).bind(EXCHANGE).bind(number).execute(&world.pool).await.unwrap();
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.pool).await.unwrap()
}

/// What an event waits for.
async fn reason(world: &World) -> String {
    testkit::eventually("an event is held", async || {
        let why = sqlx::query_scalar("select reason from messaging_holds");
        why.fetch_optional(&world.pool).await.unwrap()
    })
    .await
}

fn id(message: &Delivery) -> String {
    body(message)["event_id"].as_str().unwrap().to_owned()
}

/// Each aggregate's places are 0, 1, 2, … as received.
fn assert_in_order(received: &[Delivery], places: usize) {
    for (aggregate, order) in orders(received) {
        assert_eq!(order, (0..places).collect::<Vec<_>>(), "order of {aggregate}");
    }
}

/// The same, where a place may come again: the first time of each is in order.
fn assert_in_order_with_repeats(received: &[Delivery], places: usize) {
    for (aggregate, order) in orders(received) {
        let mut seen = BTreeSet::new();
        let first: Vec<usize> = order.into_iter().filter(|place| seen.insert(*place)).collect();
        assert_eq!(first, (0..places).collect::<Vec<_>>(), "order of {aggregate}");
    }
}

fn orders(received: &[Delivery]) -> BTreeMap<String, Vec<usize>> {
    let mut orders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in received {
        let data = &body(message)["data"];
        let aggregate = data["user_id"].as_str().unwrap().to_owned();
        let place = data["name"].as_str().unwrap().parse().unwrap();
        orders.entry(aggregate).or_default().push(place);
    }
    orders
}
