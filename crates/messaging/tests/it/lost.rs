//! A subscription that is lost: what goes on meanwhile, and when there is the next.

use std::time::Duration;

use messaging::{Consumer, Delivery, Verdict};
use serde_json::json;

use crate::world::{Notes, Running, World, created, user};

#[tokio::test]
async fn a_lost_subscription_is_made_again_while_its_slowest_handler_still_works() {
    let mut world = World::new("lost").await;
    world.settings.consumer.handler_timeout = Duration::from_mins(2);
    let (handlers, seen) = Notes::new(async |delivery| {
        // The first delivery never ends; the second, of the same message, does.
        if delivery.data["user_id"] == json!(user(1)) && !delivery.redelivered {
            std::future::pending::<()>().await;
        }
        Verdict::Ack
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let proxy = testkit::Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    let broker = world.connect();
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handlers).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    world.emit(&outbox, &created(1)).await;
    seen.wait_for(1).await;

    proxy.cut().await;
    testkit::eventually("the loss shows", async || (!broker.is_connected()).then_some(())).await;
    proxy.restore().await;
    world.emit(&outbox, &created(2)).await;

    testkit::eventually("the next event is handled", async || {
        let is_next = |delivery: &Delivery| delivery.data["user_id"] == json!(user(2));
        seen.all().iter().any(is_next).then_some(())
    })
    .await;
    assert!(broker.is_connected());
}
