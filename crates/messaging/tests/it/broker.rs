//! The broker away, at start and later; what the broker sees of us.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use messaging::{Consumer, Relay, Verdict};
use testkit::Proxy;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::faults::{limit_disk, with_its_own_broker};
use crate::raw::{Client, api_get};
use crate::world::{Notes, QUEUE, Running, World, created};

#[tokio::test]
async fn a_broker_that_is_absent_at_start_is_found_when_it_comes() {
    let mut world = World::new("absent").await;
    let proxy = through_a_proxy(&mut world).await;
    proxy.cut().await;
    let broker = world.connect();
    let outbox = world.outbox();
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let relay = world.relay_over(broker.clone(), &outbox);
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handler).unwrap();
    let consumer = Running::start(|shutdown| consumer.run(shutdown));

    world.emit(&outbox, &created(1)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!broker.is_connected());
    assert!(relay.is_running() && consumer.is_running());
    assert_eq!(world.outbox_depth().await, 1);
    proxy.restore().await;

    seen.wait_for(1).await;
    assert!(broker.is_connected());
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn it_ends_in_time_while_the_broker_is_absent() {
    let mut world = World::new("absent at end").await;
    through_a_proxy(&mut world).await.cut().await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let relay = world.relay(&world.outbox());
    let consumer = world.consumer(handler);
    tokio::time::sleep(Duration::from_millis(300)).await;

    let start = Instant::now();
    relay.stop().await;
    consumer.stop().await;

    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// Without a heartbeat that would end the connection: nothing but the wish to end is there to end on.
#[tokio::test]
async fn it_ends_while_the_broker_hangs_and_answers_nothing() {
    let mut world = World::new("hangs at end").await;
    world.settings.rabbitmq.heartbeat = Duration::from_secs(3600);
    let proxy = through_a_proxy(&mut world).await;
    let outbox = world.outbox();
    let (handler, seen) = Notes::new(async |_| Verdict::retry("it moves on, over the publisher"));
    let relay = world.relay(&outbox);
    let consumer = world.consumer(handler);
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(2).await;
    proxy.freeze().await;
    world.emit(&outbox, &created(2)).await;

    relay.drain();
    consumer.drain();

    relay.ended().await.unwrap();
    consumer.ended().await.unwrap();
    assert_eq!(world.outbox_depth().await, 1, "it waits for a broker that answers");
}

#[tokio::test]
async fn a_lost_connection_is_reported_within_a_second_and_made_again() {
    let mut world = World::new("lost").await;
    let proxy = through_a_proxy(&mut world).await;
    let broker = world.connect();
    let outbox = world.outbox();
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let _relay = world.relay_over(broker.clone(), &outbox);
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handler).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;

    let cut = Instant::now();
    proxy.cut().await;
    testkit::eventually("the loss shows", async || (!broker.is_connected()).then_some(())).await;
    assert!(cut.elapsed() < Duration::from_secs(1), "{:?}", cut.elapsed());
    world.emit(&outbox, &created(2)).await;
    proxy.restore().await;

    // The first one may come once more, before the other connection is back.
    seen.wait_for(2).await;
    testkit::eventually("both are back", async || broker.is_connected().then_some(())).await;
}

/// lapin loses an acknowledgement that comes in the very moment; whoever waits for that one stands
/// still for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_the_midst_of_acknowledgements_is_made_again_each_time() {
    let mut world = World::new("lost and lost").await;
    // As shipped: thousands of messages may take a busy broker some seconds.
    world.settings.relay = messaging::RelaySettings::default();
    let outbox = world.outbox();
    let consumer = world.consumer(Notes::new(async |_| Verdict::Ack).0);
    world.bound().await;
    consumer.stop().await;
    let relay = world.relay(&outbox);
    let mut tx = world.pool.begin().await.unwrap();
    for number in 0..3_000 {
        outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &created(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
    world.outbox_is_empty().await;
    relay.stop().await;
    let proxy = through_a_proxy(&mut world).await;
    let (handler, seen) = Notes::new(async |_| {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Verdict::Ack
    });
    let _consumer = world.consumer(handler);

    for _ in 0..20 {
        let before = seen.all().len();
        seen.wait_for(before + 30).await;
        proxy.cut().await;
        proxy.restore().await;
    }
}

#[tokio::test]
async fn its_connections_have_names_and_are_closed_at_the_end() {
    let world = World::new("names").await;
    let broker = world.connect();
    let (handler, _) = Notes::new(async |_| Verdict::Ack);
    let relay = Relay::new(world.pool.clone(), broker.clone(), world.outbox(), &world.settings);
    let relay = Running::start(|shutdown| relay.run(shutdown));
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handler).unwrap();
    let consumer = Running::start(|shutdown| consumer.run(shutdown));

    let expected = ["user-service.consume", "user-service.publish"];
    testkit::eventually("both connections are listed", async || {
        (connection_names(&world).await == expected).then_some(())
    })
    .await;

    consumer.stop().await;
    relay.stop().await;
    assert!(!broker.is_connected());
    testkit::eventually("no connection is listed", async || {
        connection_names(&world).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn consumers_go_on_while_the_broker_blocks_publishers() {
    let (world, rabbit) = with_its_own_broker("blocked").await;
    let broker = world.connect();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let (handlers, seen) = Notes::new(move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Verdict::Ack
        }
    });
    let outbox = world.outbox();
    let _relay = world.relay_over(broker.clone(), &outbox);
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handlers).unwrap();
    let consumer = Running::start(|shutdown| consumer.run(shutdown));
    for number in 0..20 {
        world.emit(&outbox, &created(number)).await;
    }
    world.outbox_is_empty().await;
    assert!(broker.is_connected());

    let rabbit = limit_disk(rabbit, "1000000GB").await;
    testkit::eventually("publishers are blocked", async || {
        world.emit(&outbox, &created(100)).await;
        (!broker.is_connected()).then_some(())
    })
    .await;
    gate.add_permits(1_000);
    seen.wait_for(20).await;
    consumer.stop().await;
    assert!(!broker.is_connected(), "still blocked");

    let _rabbit = limit_disk(rabbit, "1MB").await;
    world.outbox_is_empty().await;
    let uri = world.settings.rabbitmq.clone();
    let password = uri.password.expose();
    let uri = format!("amqp://{}:{password}@{}:{}", uri.username, uri.host, uri.port);
    let client = Client::connect(&uri).await;
    let left = client.rest(QUEUE).await;
    assert!(left.iter().all(|message| !message.redelivered), "every answer reached the broker");
}

async fn through_a_proxy(world: &mut World) -> Proxy {
    let proxy = Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    proxy
}

async fn connection_names(world: &World) -> Vec<String> {
    let list = api_get(format!("vhosts/{}/connections", world.broker.vhost)).await.unwrap();
    let mut names: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|connection| Some(connection["user_provided_name"].as_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
