//! What is enqueued, and what it is on the wire.

use chrono::Utc;
use contracts::user::UserCreated;
use contracts::{Event, UserId};
use messaging::EnqueueError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::raw::json as body;
use crate::world::{EXCHANGE, World, created, user};

#[tokio::test]
async fn a_committed_event_arrives_as_the_seed_spells_it() {
    let world = World::new("committed").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let relay = world.relay(&outbox);

    let event_id = world.emit(&outbox, &created(1)).await;
    let message = client.next(&queue).await;

    let body = body(&message);
    assert_eq!(body["event_type"], "user.created");
    assert_eq!(body["data"], json!({"user_id": user(1), "email": "a@example.com", "name": "A"}));
    assert_eq!(body["service"], "user-service");
    assert!(body["timestamp"].as_str().unwrap().parse::<chrono::DateTime<Utc>>().is_ok());
    assert_eq!(body["event_id"], event_id.to_string());
    assert_eq!(body["version"], 1);
    assert_eq!(message.routing_key.as_str(), "user.created");
    let properties = &message.properties;
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), event_id.to_string());
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(*properties.delivery_mode(), Some(2), "it survives the broker's restart");
    world.outbox_is_empty().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_rolled_back_event_never_arrives() {
    let world = World::new("rolled back").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    let mut tx = world.pool.begin().await.unwrap();
    outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &created(1)).await.unwrap();
    outbox.wake();
    tx.rollback().await.unwrap();
    let kept = world.emit(&outbox, &created(2)).await;

    assert_eq!(body(&client.next(&queue).await)["event_id"], kept.to_string());
    world.outbox_is_empty().await;
    assert!(client.rest(&queue).await.is_empty());
}

#[tokio::test]
async fn a_row_that_commits_late_is_not_lost() {
    let world = World::new("late commit").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);

    let mut late = world.pool.begin().await.unwrap();
    let late_id = Uuid::now_v7();
    outbox.enqueue(&mut late, late_id, Utc::now(), &created(1)).await.unwrap();
    let early_id = world.emit(&outbox, &created(2)).await;
    assert_eq!(body(&client.next(&queue).await)["event_id"], early_id.to_string());
    late.commit().await.unwrap();

    assert_eq!(body(&client.next(&queue).await)["event_id"], late_id.to_string());
}

#[tokio::test]
async fn a_too_large_event_is_refused_where_it_is_enqueued() {
    let mut world = World::new("too large").await;
    world.settings.relay.message_bytes_max = 300;
    let outbox = world.outbox();
    let large = UserCreated { name: "é".repeat(100), ..created(1) };

    let mut tx = world.pool.begin().await.unwrap();
    let refused = outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &large).await.unwrap_err();
    assert!(matches!(refused, EnqueueError::TooLarge { bytes_max: 300, .. }), "{refused}");
    assert!(refused.to_string().contains("user.created takes 4"), "{refused}");
    // The transaction is not broken by it: the caller may go on.
    outbox.enqueue(&mut tx, Uuid::now_v7(), Utc::now(), &created(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.outbox_depth().await, 1);
}

#[tokio::test]
async fn an_exchange_that_the_settings_lack_is_named() {
    #[derive(Serialize, Deserialize)]
    struct Stray(UserId);
    impl Event for Stray {
        const TYPE: &'static str = "stray.seen";
        const EXCHANGE: &'static str = "stray_exchange";
        fn aggregate_id(&self) -> Uuid {
            self.0.as_uuid()
        }
    }
    let world = World::new("stray").await;

    let mut connection = world.pool.acquire().await.unwrap();
    let refused = world
        .outbox()
        .enqueue(&mut connection, Uuid::now_v7(), Utc::now(), &Stray(user(1)))
        .await
        .unwrap_err();

    assert!(refused.to_string().contains("`stray_exchange`"), "{refused}");
}

#[tokio::test]
async fn its_migrations_are_counted_apart_from_the_services() {
    let world = World::new("migrations").await;
    messaging::migrate(&world.pool.clone().into()).await.unwrap();

    let counted: i64 = sqlx::query_scalar("select count(*) from _messaging_migrations")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let services: Option<String> =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations')::text")
            .fetch_one(&world.pool)
            .await
            .unwrap();

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let scripts = files.filter(|path| path.extension().is_some_and(|end| end == "sql"));
    assert_eq!(usize::try_from(counted).unwrap(), scripts.count());
    assert_eq!(services, None, "the service's own table is not touched");
}
