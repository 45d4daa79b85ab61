//! The consumer: verdicts, pauses, bounds, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::user::{UserCreated, UserUpdated};
use contracts::{Event, UserId};
use messaging::settings::SettingsError;
use messaging::{Consumer, Delivery, Handlers, Verdict};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::world::{EXCHANGE, Notes, QUEUE, Running, World, created, updated, user};

#[tokio::test]
async fn a_delivery_says_what_was_published() {
    let world = World::new("delivery").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);

    let event_id = world.emit(&outbox, &created(1)).await;
    let delivery = seen.wait_for(1).await.remove(0);

    assert_eq!(delivery.message_id.as_str(), event_id.to_string());
    assert_eq!(delivery.event_type, "user.created");
    assert_eq!((delivery.exchange.as_str(), delivery.attempt), (EXCHANGE, 1));
    assert_eq!(delivery.service, "user-service");
    assert!(!delivery.redelivered);
    assert_eq!(delivery.data, json!(created(1)));
    consumer.stop().await;
    assert_eq!(world.client().await.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn a_failed_attempt_comes_back_after_its_pause() {
    let world = World::new("ladder").await;
    let (handler, seen) = Notes::new(async |delivery| match delivery.attempt {
        1 | 2 => Verdict::retry("not yet"),
        _ => Verdict::Ack,
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);
    let start = Instant::now();

    let event_id = world.emit(&outbox, &created(1)).await;
    let seen = seen.wait_for(3).await;

    assert!(start.elapsed() >= Duration::from_millis(50 + 150), "{:?}", start.elapsed());
    assert_eq!(seen.iter().map(|d| d.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    for delivery in &seen {
        assert_eq!(delivery.message_id.as_str(), event_id.to_string(), "it is the same message");
        assert_eq!(delivery.exchange, EXCHANGE);
        assert_eq!(delivery.routing_key, "user.created");
    }
    consumer.stop().await;
    let client = world.client().await;
    assert!(client.try_next(QUEUE).await.is_none());
    assert!(client.try_next("user-service.events.dead-letters").await.is_none());
}

#[tokio::test]
async fn what_is_away_costs_no_attempt() {
    let world = World::new("unavailable").await;
    let calls = AtomicUsize::new(0);
    let (handler, seen) = Notes::new(move |_| {
        // Away for longer than there are attempts.
        let verdict = match calls.fetch_add(1, Ordering::SeqCst) {
            0..4 => Verdict::unavailable("the database is away"),
            _ => Verdict::Ack,
        };
        async { verdict }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);

    world.emit(&outbox, &created(1)).await;
    let seen = seen.wait_for(5).await;

    assert!(seen.iter().all(|delivery| delivery.attempt == 1));
    consumer.stop().await;
    let client = world.client().await;
    assert!(client.try_next("user-service.events.dead-letters").await.is_none());
}

#[tokio::test]
async fn only_what_is_handled_is_bound() {
    let world = World::new("bindings").await;
    let (handler, seen) = Notes::new(async |_| Verdict::Ack);
    let client = world.client().await;
    let everything = client.listen(EXCHANGE, "#").await;
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);
    world.bound().await;
    let gone = contracts::user::UserDeleted { user_id: user(1) };
    world.emit(&outbox, &gone).await;
    world.emit(&outbox, &created(2)).await;

    let seen = seen.wait_for(1).await;
    client.take(&everything, 2).await;
    consumer.stop().await;

    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].event_type, "user.created");
    assert_eq!(client.ready(QUEUE).await, 0);
    assert!(!world.broker.queue_exists("payment-service.events").await);
}

#[tokio::test]
async fn handlers_run_side_by_side_up_to_the_bound() {
    let mut world = World::new("concurrency").await;
    world.settings.consumer.concurrency = 3.try_into().unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let peak = Arc::clone(&most);
    let (handler, seen) = Notes::new(move |_| {
        let running = Arc::clone(&running);
        let peak = Arc::clone(&peak);
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Verdict::Ack
        }
    });
    let outbox = world.outbox();
    for number in 0..20 {
        world.emit(&outbox, &created(number)).await;
    }
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);

    seen.wait_for(20).await;

    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_drain_finishes_what_was_taken_and_takes_nothing_new() {
    let world = World::new("drain").await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let (handler, seen) = Notes::new(move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Verdict::Ack
        }
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let consumer = world.consumer(handler);
    // Of 30, 20 are prefetched after the first, and 8 of those in a handler.
    for number in 0..30 {
        world.emit(&outbox, &created(number)).await;
    }
    seen.wait_for(8).await;
    world.outbox_is_empty().await;

    consumer.drain();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(consumer.is_running(), "handlers are under way");
    gate.add_permits(100);
    consumer.ended().await.unwrap();

    let client = world.client().await;
    let handled = seen.all().len();
    let left = client.ready(QUEUE).await;
    assert!((8..=21).contains(&handled), "{handled} handled");
    assert_eq!(handled + usize::try_from(left).unwrap(), 30, "none lost, none twice");
    let again = client.rest(QUEUE).await;
    assert!(again.iter().all(|message| !message.redelivered), "what was taken was acknowledged");
}

#[tokio::test]
async fn a_subscription_that_the_broker_ends_is_made_again() {
    let world = World::new("closed").await;
    let (handler, seen) = Notes::new(async |_| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Verdict::Ack
    });
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handler);

    for number in 0..100 {
        world.emit(&outbox, &created(number)).await;
        if number % 40 == 20 {
            seen.wait_for(1).await;
            world.broker.close_all_connections().await;
        }
    }

    testkit::eventually("every event was handled", async || {
        let mut ids: Vec<_> = seen.all().into_iter().map(|d| d.message_id.to_string()).collect();
        ids.sort();
        ids.dedup();
        (ids.len() == 100).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_that_the_settings_lack_is_named_before_anything_runs() {
    let world = World::new("unknown key").await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);

    let refused = Consumer::new(world.connect(), &world.settings, "order_events", handler);

    let unknown = SettingsError::UnknownQueue("order_events".to_owned());
    assert_eq!(refused.err(), Some(unknown));
}

#[tokio::test]
async fn a_database_that_goes_away_and_comes_back_loses_nothing() {
    let world = World::new("database").await;
    let proxy = testkit::Proxy::start(world.database.server()).await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(500))
        .connect_lazy(&world.database.url_through(proxy.address()))
        .unwrap();
    sqlx::query("create table effects (name text)").execute(&world.pool).await.unwrap();
    let effects = pool.clone();
    let (handler, _) = Notes::new(move |delivery: Delivery| {
        let pool = effects.clone();
        async move {
            let work = async {
                let mut tx = pool.begin().await?;
                if delivery.claim(&mut tx).await? {
                    let name = delivery.data["name"].as_str().unwrap();
                    sqlx::query("insert into effects values ($1)")
                        .bind(name)
                        .execute(&mut *tx)
                        .await?;
                }
                tx.commit().await
            };
            work.await.map_or_else(|e: sqlx::Error| Verdict::unavailable(e), |()| Verdict::Ack)
        }
    });
    let outbox = world.outbox();
    let relay = messaging::Relay::new(pool, world.connect(), outbox.clone(), &world.settings);
    let _relay = Running::start(|shutdown| relay.run(shutdown));
    let _consumer = world.consumer(handler);

    for place in 0..40 {
        if place == 10 {
            proxy.cut().await;
        }
        world.emit(&outbox, &updated(place as u128, place)).await;
        if place == 30 {
            proxy.restore().await;
        }
    }

    testkit::eventually("each has its one effect", async || {
        let count =
            sqlx::query_as::<_, (i64, i64)>("select count(*), count(distinct name) from effects");
        (count.fetch_one(&world.pool).await.unwrap() == (40, 40)).then_some(())
    })
    .await;
}

/// Handles messages of one user in order, slowly, and notes those it has handled.
#[derive(Clone, Default)]
struct InOrder(Arc<std::sync::Mutex<Vec<(UserId, usize)>>>);

impl InOrder {
    async fn updated(self, delivery: Delivery<UserUpdated>) -> Verdict {
        // The later ones are quicker: side by side they would overtake.
        let place: usize = delivery.data.name.parse().unwrap();
        tokio::time::sleep(Duration::from_millis(20 - 2 * place as u64)).await;
        self.0.lock().unwrap().push((delivery.data.user_id, place));
        Verdict::Ack
    }
}

#[tokio::test]
async fn events_of_one_aggregate_are_handled_in_order_where_that_is_asked_for() {
    let world = World::new("ordered").await;
    let InOrder(done) = InOrder::default();
    let outbox = world.outbox();
    for place in 0..10 {
        for number in 0..3 {
            world.emit(&outbox, &updated(number, place)).await;
        }
    }
    let _relay = world.relay(&outbox);
    let in_order = InOrder(Arc::clone(&done));
    let _consumer = world.consumer(Handlers::new(in_order).on(InOrder::updated).ordered());

    testkit::eventually("all are handled", async || {
        (done.lock().unwrap().len() == 30).then_some(())
    })
    .await;

    for number in 0..3 {
        let done = done.lock().unwrap();
        let of_user = done.iter().filter(|(id, _)| *id == user(number));
        assert!(of_user.map(|(_, place)| *place).eq(0..10), "{done:?}");
    }
}

/// `user.created` as it might be one day: the name in two parts.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct UserCreatedV2 {
    user_id: UserId,
    given_name: String,
    family_name: String,
}

impl Event for UserCreatedV2 {
    const TYPE: &'static str = UserCreated::TYPE;
    const VERSION: u16 = 2;
    const EXCHANGE: &'static str = UserCreated::EXCHANGE;

    fn aggregate_id(&self) -> uuid::Uuid {
        self.user_id.as_uuid()
    }
}

impl From<UserCreated> for UserCreatedV2 {
    fn from(UserCreated { user_id, name, .. }: UserCreated) -> Self {
        Self { user_id, given_name: name, family_name: "unknown".to_owned() }
    }
}

/// The names in the order in which they came.
#[derive(Clone, Default)]
struct Names(Arc<tokio::sync::Mutex<Vec<String>>>);

impl Names {
    async fn created_v1(self, delivery: Delivery<UserCreated>) -> Verdict {
        self.created(delivery.map(Into::into)).await
    }

    async fn created(self, delivery: Delivery<UserCreatedV2>) -> Verdict {
        let UserCreatedV2 { given_name, family_name, .. } = delivery.data;
        self.0.lock().await.push(format!("{given_name} {family_name}"));
        Verdict::Ack
    }
}

#[tokio::test]
async fn versions_of_one_type_each_come_to_their_own_handler() {
    let world = World::new("versions").await;
    let names = Names::default();
    let handlers = Handlers::new(names.clone()).on(Names::created_v1).on(Names::created);
    let outbox = world.outbox();
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(handlers.ordered());
    let ada = UserCreatedV2 {
        user_id: user(1),
        given_name: "Ada".to_owned(),
        family_name: "Lovelace".to_owned(),
    };

    world.emit(&outbox, &created(1)).await;
    world.emit(&outbox, &ada).await;

    testkit::eventually("both are handled", async || {
        (names.0.lock().await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(*names.0.lock().await, ["A unknown", "Ada Lovelace"]);
}

#[test]
#[should_panic(expected = "version 1 of user.created has a handler already")]
fn a_second_handler_of_one_version_is_refused() {
    let _ = Handlers::new(Names::default()).on(Names::created_v1).on(Names::created_v1);
}
