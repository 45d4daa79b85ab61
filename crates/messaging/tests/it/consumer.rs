//! The consumer: verdicts, pauses, bounds, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use messaging::settings::SettingsError;
use messaging::{Consumer, Verdict};
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
    let event: contracts::user::UserCreated = delivery.decode().unwrap();
    assert_eq!(event.user_id, user(1));
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
    assert!(client.try_next("user-service.events.parked").await.is_none());
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
    assert!(client.try_next("user-service.events.parked").await.is_none());
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
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let (handler, seen) = Notes::new(move |_| {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
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
    // Of 30, 20 are prefetched and 8 of those in a handler.
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
    let (handled, left) = (seen.all().len(), client.ready(QUEUE).await);
    assert!((8..=20).contains(&handled), "{handled} handled");
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
async fn a_queue_with_other_arguments_is_an_error_that_names_it() {
    let world = World::new("queue drift").await;
    world.client().await.queue(QUEUE).await;
    let (handler, _) = Notes::new(async |_| Verdict::Ack);

    let error = world.consumer(handler).ended().await.unwrap_err();

    assert!(error.starts_with("user-service.events exists with other arguments"), "{error}");
    assert!(error.contains("x-"), "the broker's words say which: {error}");
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
    let (handler, _) = Notes::new(move |delivery: messaging::Delivery| {
        let pool = effects.clone();
        async move {
            let work = async {
                let mut tx = pool.begin().await?;
                if messaging::inbox::claim(&mut tx, QUEUE, &delivery.message_id).await? {
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
struct InOrder(Arc<std::sync::Mutex<Vec<(String, String)>>>);

impl messaging::Handler for InOrder {
    const ORDERED: bool = true;

    fn handles(&self) -> &'static [(&'static str, &'static str)] {
        &[("user_exchange", "user.created"), ("user_exchange", "user.updated")]
    }

    fn key(&self, delivery: &messaging::Delivery) -> Option<String> {
        Some(delivery.data["user_id"].to_string())
    }

    async fn handle(&self, delivery: messaging::Delivery) -> Verdict {
        // The later ones are quicker: side by side they would overtake.
        let place: u64 = delivery.data["name"].as_str().unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_millis(20 - 2 * place)).await;
        let done = (delivery.data["user_id"].to_string(), place.to_string());
        self.0.lock().unwrap().push(done);
        Verdict::Ack
    }
}

#[tokio::test]
async fn messages_of_one_key_are_handled_in_order_where_that_is_asked_for() {
    let world = World::new("ordered").await;
    let done = Arc::new(std::sync::Mutex::new(Vec::new()));
    let outbox = world.outbox();
    for place in 0..10 {
        for number in 0..3 {
            world.emit(&outbox, &updated(number, place)).await;
        }
    }
    let _relay = world.relay(&outbox);
    let _consumer = world.consumer(InOrder(Arc::clone(&done)));

    testkit::eventually("all are handled", async || {
        (done.lock().unwrap().len() == 30).then_some(())
    })
    .await;

    for number in 0..3 {
        let of = format!("\"{}\"", user(number));
        let done = done.lock().unwrap();
        let places: Vec<_> = done.iter().filter(|(id, _)| *id == of).map(|(_, p)| p).collect();
        assert!(places.is_sorted() && places.len() == 10, "{places:?}");
    }
}
