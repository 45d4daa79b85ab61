//! Fields out of their bounds: refused where they are published, dead-lettered where they are read.

use chrono::{TimeDelta, Utc};
use contracts::payment::PaymentCompleted;
use contracts::user::{UserCreated, UserUpdated};
use contracts::{PaymentId, UserId};
use messaging::dead_letter_queue::Filter;
use messaging::direct::PublishError;
use messaging::{DeadLetterQueue, EnqueueError, EventPublisher, Verdict};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{EXCHANGE, Notes, World, created, user};

#[tokio::test]
async fn an_event_out_of_bounds_is_refused_where_it_is_enqueued_and_named_without_its_value() {
    let world = World::new("bounds enqueue").await;
    let outbox = world.outbox();
    let mut tx = world.pool.begin().await.unwrap();
    let long = UserCreated { name: "Ada".repeat(34), ..created(1) };
    let cheap = PaymentCompleted {
        payment_id: PaymentId::from_uuid(Uuid::now_v7()),
        user_id: UserId::from_uuid(Uuid::now_v7()),
        amount: -5,
        currency: "EUR".to_owned(),
    };

    let refused = outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &long).await.unwrap_err();
    assert!(matches!(refused, EnqueueError::Field { .. }), "{refused}");
    assert_eq!(refused.to_string(), "event user.created: name is longer than 100 characters");
    let refused = outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &cheap).await.unwrap_err();
    assert_eq!(refused.to_string(), "event payment.completed: amount is not positive");
    let future = Utc::now() + TimeDelta::days(2);
    let refused = outbox.enqueue(&mut tx, Uuid::now_v7(), future, &created(1)).await.unwrap_err();
    assert!(refused.to_string().contains("timestamp is more than a day"), "{refused}");
    // The transaction is not broken by it.
    outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &created(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.outbox_depth().await, 1);
}

#[tokio::test]
async fn an_event_out_of_bounds_is_not_published_directly_nor_are_those_with_it() {
    let world = World::new("bounds direct").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let publisher = EventPublisher::new("user-service", &world.connect(), &world.settings).unwrap();
    let bad = UserCreated { email: "nobody".to_owned(), ..created(2) };

    let one = publisher.publish(Uuid::now_v7(), Utc::now(), &bad).await;
    assert!(matches!(one, Err(PublishError::Field(_))), "{one:?}");
    let both =
        [(Uuid::now_v7(), Utc::now(), created(1)), (Uuid::now_v7(), Utc::now(), bad.clone())];
    assert!(matches!(publisher.publish_all(&both).await, Err(PublishError::Field(_))));
    let future = Utc::now() + TimeDelta::days(2);
    let late = publisher.publish_user_event(Uuid::now_v7(), future, "user.seen", json!({})).await;
    assert!(matches!(late, Err(PublishError::Field(_))), "{late:?}");

    publisher.publish(Uuid::now_v7(), Utc::now(), &created(3)).await.unwrap();
    assert_eq!(crate::raw::json(&client.next(&queue).await)["data"]["user_id"], json!(user(3)));
}

#[tokio::test]
async fn a_message_out_of_bounds_is_dead_lettered_at_once_with_a_cause_that_names_the_field() {
    let world = World::new("bounds read").await;
    let (handlers, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handlers);
    world.bound().await;
    let client = world.client().await;
    let far = json!("9999-01-01T00:00:00Z");
    for (pointer, value) in [
        ("/data/name", json!("Ada".repeat(34))),
        ("/data/email", json!("ada@example.com\r\nBcc: all@example.com")),
        ("/data/version", json!(-7)),
        ("/timestamp", far),
        ("/service", json!("x".repeat(65))),
    ] {
        let mut body = message();
        *body.pointer_mut(pointer).unwrap() = value;
        client.publish(EXCHANGE, "user.created", body.to_string().as_bytes()).await;
    }
    // `null` is as good as left out.
    let mut body = message();
    body["data"]["name"] = Value::Null;
    body["data"]["version"] = Value::Null;
    client.publish(EXCHANGE, "user.created", body.to_string().as_bytes()).await;

    assert_eq!(seen.wait_for(1).await[0].data["name"], "");
    let dlq = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    let mut causes = testkit::eventually("all are dead-lettered", async || {
        let listed = dlq.list(&Filter::default()).await.ok()?.items;
        let causes: Vec<String> = listed.into_iter().map(|each| each.cause).collect();
        (causes.len() == 5).then_some(causes)
    })
    .await;
    causes.sort();
    assert_eq!(
        causes,
        [
            "undecodable: data of user.created: email has a control character",
            "undecodable: data of user.created: name is longer than 100 characters",
            "undecodable: data of user.created: version is not positive",
            "undecodable: service is longer than 64 characters",
            "undecodable: timestamp is more than a day in the future",
        ]
    );
    assert_eq!(seen.all().len(), 1, "no handler saw any of them");
}

fn message() -> Value {
    json!({
        "event_type": "user.created",
        "data": {"user_id": user(1), "email": "a@example.com", "name": "A", "version": 1},
        "timestamp": Utc::now(),
        "service": "user-service",
        "event_id": Uuid::now_v7(),
        "version": 1,
    })
}

#[tokio::test]
async fn an_update_out_of_bounds_leaves_no_row() {
    let world = World::new("bounds update").await;
    let mut tx = world.pool.begin().await.unwrap();
    let endless = UserUpdated {
        user_id: user(1),
        email: "a@example.com".to_owned(),
        name: "A".to_owned(),
        changed: vec!["name".to_owned(); 33],
        previous_email: None,
        version: None,
    };

    let refused = world.outbox().enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &endless).await;
    tx.commit().await.unwrap();

    assert_eq!(
        refused.unwrap_err().to_string(),
        "event user.updated: changed has more than 32 items"
    );
    assert_eq!(world.outbox_depth().await, 0);
}
