//! Publishing without a transaction.

use chrono::Utc;
use messaging::EventPublisher;
use messaging::direct::PublishError;
use serde_json::json;
use testkit::Proxy;
use uuid::Uuid;

use crate::raw::json as body;
use crate::world::{EXCHANGE, World, created};

#[tokio::test]
async fn what_is_published_directly_is_confirmed_and_looks_as_if_it_came_from_the_outbox() {
    let world = World::new("direct").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let publisher = EventPublisher::new("user-service", &world.connect(), &world.settings).unwrap();
    let ids = [(); 2].map(|()| Uuid::now_v7());

    publisher.publish(ids[0], Utc::now(), &created(1)).await.unwrap();
    let data = json!({"user_id": "1"});
    publisher.publish_user_event(ids[1], Utc::now(), "user.seen", data.clone()).await.unwrap();

    let received = client.take(&queue, 2).await;
    assert_eq!(body(&received[0])["event_id"], ids[0].to_string());
    assert_eq!(body(&received[0])["event_type"], "user.created");
    assert_eq!((&body(&received[1])["data"], &body(&received[1])["version"]), (&data, &json!(1)));
    assert_eq!(received[1].routing_key.as_str(), "user.seen");
    assert_eq!(*received[1].properties.delivery_mode(), Some(2));
}

#[tokio::test]
async fn what_did_not_arrive_is_an_error_that_says_how() {
    let mut world = World::new("direct refused").await;
    world.settings.relay.message_bytes_max = 1_000;
    let proxy = Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    let publisher = EventPublisher::new("user-service", &world.connect(), &world.settings).unwrap();
    let publish = async |data| {
        publisher.publish_payment_event(Uuid::now_v7(), Utc::now(), "payment.seen", data).await
    };

    assert!(matches!(publish(json!({})).await, Err(PublishError::Returned)));
    let large = json!("x".repeat(1_000));
    assert!(matches!(publish(large).await, Err(PublishError::TooLarge { .. })));
    proxy.cut().await;
    testkit::eventually("the cut shows", async || {
        matches!(publish(json!({})).await, Err(PublishError::Unavailable)).then_some(())
    })
    .await;
    proxy.restore().await;
    let client = world.client().await;
    let queue = client.listen("payment.events", "#").await;
    testkit::eventually("it is published", async || publish(json!({})).await.ok()).await;
    client.next(&queue).await;
}
