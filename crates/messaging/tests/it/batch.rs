//! Messages that are handled together: one effect each, and none pays for another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::user::{UserCreated, UserUpdated};
use contracts::{Envelope, EventId};
use messaging::settings::SettingsError;
use messaging::{Consumer, Delivery, Handlers, MessageId, Verdict, inbox};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::raw::{Client, header, json};
use crate::world::{EXCHANGE, Notes, QUEUE, World, created, updated};

const DEAD_LETTERS: &str = "user-service.events.dead-letters";
/// How many come together at most.
const MAX: usize = 10;
/// So long that whatever is published before comes together.
const LINGER: Duration = Duration::from_secs(2);

/// Has the effects of a batch in one transaction: a row for each user's name.
#[derive(Clone)]
struct Effects {
    pool: PgPool,
    /// How many messages each call was given, and whether it was done.
    calls: Arc<Mutex<Vec<(usize, bool)>>>,
    /// After the commit, a call waits for one of its permits.
    gate: Option<Arc<Semaphore>>,
}

impl Effects {
    async fn new(world: &World) -> Self {
        // A name of more than one letter is poison.
        sqlx::query("create table effects (message_id text, name text check (length(name) < 2))")
            .execute(&world.pool)
            .await
            .unwrap();
        Self { pool: world.pool.clone(), calls: Arc::default(), gate: None }
    }

    fn handlers(&self) -> Handlers<Self> {
        Handlers::new(self.clone()).on_batch(MAX, LINGER, Self::created)
    }

    async fn created(self, batch: Vec<Delivery<UserCreated>>) -> Verdict {
        let size = batch.len();
        let done = self.commit(batch).await;
        self.calls.lock().unwrap().push((size, done.is_ok()));
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        done.map_err(Verdict::retry).into()
    }

    async fn commit(&self, batch: Vec<Delivery<UserCreated>>) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        for new in inbox::claim_all(&mut tx, batch).await? {
            sqlx::query("insert into effects select $1, $2 from pg_sleep(0.01)")
                .bind(new.message_id.as_str())
                .bind(new.data.name)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    fn calls(&self) -> Vec<(usize, bool)> {
        self.calls.lock().unwrap().clone()
    }

    /// All effects, and those of different messages.
    async fn count(&self) -> (i64, i64) {
        let count = "select count(*), count(distinct message_id) from effects";
        sqlx::query_as(count).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until there are as many effects, of as many messages.
    async fn until(&self, effects: i64) {
        testkit::eventually("each has its one effect", async || {
            (self.count().await == (effects, effects)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_waits_is_handled_together_up_to_the_bound() {
    let world = World::new("batch").await;
    let effects = Effects::new(&world).await;
    let client = waiting(&world, &bodies(25)).await;

    let consumer = world.consumer(effects.handlers());
    effects.until(25).await;
    consumer.stop().await;

    let mut sizes: Vec<usize> = effects.calls().into_iter().map(|(size, _)| size).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10], "the last ones do not wait for ever");
    assert_eq!(client.ready(QUEUE).await, 0, "all are acknowledged");
}

#[tokio::test]
async fn a_message_that_comes_twice_in_a_batch_has_one_effect() {
    let world = World::new("batch twice").await;
    let effects = Effects::new(&world).await;
    let once = bodies(4);
    let client = waiting(&world, &[&once[..], &once, &once[..2]].concat()).await;

    let consumer = world.consumer(effects.handlers());
    effects.until(4).await;
    consumer.stop().await;

    assert_eq!(effects.calls(), [(10, true)]);
    assert_eq!(client.ready(QUEUE).await, 0, "all are acknowledged");
}

#[tokio::test]
async fn batches_of_the_same_messages_at_two_consumers_have_one_effect_each() {
    let world = World::new("batch consumers").await;
    let effects = Effects::new(&world).await;
    let bodies = bodies(40);
    let client = waiting(&world, &[]).await;
    let consumers = [world.consumer(effects.handlers()), world.consumer(effects.handlers())];

    for body in bodies.iter().chain(bodies.iter().rev()) {
        client.publish(EXCHANGE, "user.created", body).await;
    }
    testkit::eventually("all are handled", async || {
        (effects.calls().iter().map(|(size, _)| size).sum::<usize>() >= 80).then_some(())
    })
    .await;
    for consumer in consumers {
        consumer.stop().await;
    }

    assert_eq!(effects.count().await, (40, 40));
    assert!(effects.calls().iter().all(|(_, is_done)| *is_done), "{:?}", effects.calls());
    assert_eq!(client.ready(QUEUE).await, 0, "all are acknowledged");
}

#[tokio::test]
async fn batches_that_meet_in_opposite_order_do_not_wait_for_each_other_for_ever() {
    let world = World::new("batch order").await;
    for _ in 0..20 {
        let there: Vec<Delivery<()>> = (0..500).map(|_| delivery()).collect();
        let mut back = there.clone();
        back.reverse();
        let claim = async |batch: Vec<Delivery<()>>| {
            let mut tx = world.pool.begin().await.unwrap();
            let new = inbox::claim_all(&mut tx, batch).await.unwrap();
            tx.commit().await.unwrap();
            new.len()
        };
        let claimed = tokio::join!(claim(there), claim(back));
        assert_eq!(claimed.0 + claimed.1, 500);
    }
}

#[tokio::test]
async fn a_poison_message_in_a_batch_hurts_no_other() {
    let world = World::new("batch poison").await;
    let effects = Effects::new(&world).await;
    let mut bodies = bodies(9);
    bodies.insert(4, body(&UserCreated { name: "poison".to_owned(), ..created(99) }));
    let client = waiting(&world, &bodies).await;

    let consumer = world.consumer(effects.handlers());
    effects.until(9).await;
    let dead_letter = client.next(DEAD_LETTERS).await;
    consumer.stop().await;

    assert_eq!(json(&dead_letter)["data"]["name"], "poison");
    assert_eq!(header(&dead_letter, "x-attempt").unwrap(), "3", "the batch cost it no attempt");
    let calls = effects.calls();
    assert_eq!(calls[0], (10, false));
    assert_eq!(calls[1..].iter().filter(|call| **call == (1, true)).count(), 9);
    assert_eq!(calls.len(), 1 + 9 + 3, "the poison, tried again, came alone: {calls:?}");
    assert_eq!(client.ready(QUEUE).await, 0, "all are acknowledged");
}

#[tokio::test]
async fn what_cannot_be_decoded_joins_no_batch() {
    let world = World::new("batch undecodable").await;
    let effects = Effects::new(&world).await;
    let mut bodies = bodies(9);
    bodies.insert(4, b"not json".to_vec());
    let client = waiting(&world, &bodies).await;

    let consumer = world.consumer(effects.handlers());
    effects.until(9).await;
    let dead_letter = client.next(DEAD_LETTERS).await;
    consumer.stop().await;

    assert_eq!(dead_letter.data, b"not json");
    assert_eq!(effects.calls(), [(9, true)]);
}

#[tokio::test]
async fn a_batch_that_takes_too_long_or_panics_is_handled_one_by_one() {
    for does_panic in [true, false] {
        let mut world = World::new("batch slow").await;
        world.settings.consumer.handler_timeout = Duration::from_millis(200);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let client = waiting(&world, &bodies(10)).await;
        let together = move |seen: Arc<Mutex<Vec<MessageId>>>, mut batch: Vec<Delivery<_>>| async move {
            let _: &Delivery<UserCreated> = &batch[0];
            if batch.len() > 1 {
                assert!(!does_panic, "a bug");
                std::future::pending::<()>().await;
            }
            seen.lock().unwrap().push(batch.remove(0).message_id);
            Verdict::Ack
        };

        let handlers = Handlers::new(Arc::clone(&seen)).on_batch(MAX, LINGER, together);
        let consumer = world.consumer(handlers);
        testkit::eventually("each is handled", async || {
            (seen.lock().unwrap().len() == 10).then_some(())
        })
        .await;
        consumer.stop().await;

        assert_eq!(client.ready(QUEUE).await, 0, "all are acknowledged");
        assert!(client.try_next(DEAD_LETTERS).await.is_none());
    }
}

#[tokio::test]
async fn what_is_away_costs_a_batch_no_attempts() {
    let world = World::new("batch away").await;
    let effects = Effects::new(&world).await;
    // Away for longer than there are attempts.
    let away = Arc::new(Mutex::new(5));
    let handle = move |effects: Effects, batch: Vec<Delivery<UserCreated>>| {
        let is_away = {
            let mut away = away.lock().unwrap();
            *away -= 1;
            *away >= 0
        };
        async move {
            assert!(batch.iter().all(|delivery| delivery.attempt == 1));
            if is_away {
                Verdict::unavailable("the database")
            } else {
                effects.created(batch).await
            }
        }
    };
    let client = waiting(&world, &bodies(10)).await;

    let handlers = Handlers::new(effects.clone()).on_batch(MAX, LINGER / 10, handle);
    let consumer = world.consumer(handlers);
    effects.until(10).await;
    consumer.stop().await;

    assert!(client.try_next(DEAD_LETTERS).await.is_none());
}

#[tokio::test]
async fn a_consumer_killed_between_a_batchs_commit_and_its_acknowledgement_has_had_the_effects() {
    let world = World::new("batch killed").await;
    let mut effects = Effects::new(&world).await;
    let client = waiting(&world, &bodies(10)).await;
    effects.gate = Some(Arc::new(Semaphore::new(0)));
    let consumer = world.consumer(effects.handlers());
    effects.until(10).await;

    drop(consumer);
    effects.gate = None;
    let consumer = world.consumer(effects.handlers());
    testkit::eventually("all came again", async || {
        (effects.calls().iter().map(|(size, _)| size).sum::<usize>() == 20).then_some(())
    })
    .await;
    consumer.stop().await;

    assert_eq!(effects.count().await, (10, 10));
    assert_eq!(client.ready(QUEUE).await, 0, "all are acknowledged");
}

#[tokio::test]
async fn a_drain_finishes_the_batches_that_were_taken() {
    let world = World::new("batch drain").await;
    let mut effects = Effects::new(&world).await;
    let gate = Arc::new(Semaphore::new(0));
    effects.gate = Some(Arc::clone(&gate));
    // Of 35, 20 are prefetched, in two batches.
    let client = waiting(&world, &bodies(35)).await;
    let consumer = world.consumer(effects.handlers());
    effects.until(20).await;

    consumer.drain();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(consumer.is_running(), "two batches are under way");
    gate.add_permits(100);
    consumer.ended().await.unwrap();

    let handled = effects.count().await.0;
    let left = client.ready(QUEUE).await;
    assert_eq!(handled + i64::from(left), 35, "each is either done or still there");
    assert!((20..35).contains(&handled), "{handled} handled");
}

#[tokio::test]
async fn a_batch_acknowledges_nothing_that_others_work_on() {
    let world = World::new("batch acks").await;
    let effects = Effects::new(&world).await;
    let client = waiting(&world, &[body(&updated(1, 0))]).await;
    for body in bodies(10) {
        client.publish("", QUEUE, &body).await;
    }
    let never =
        async |_: Effects, _: Delivery<UserUpdated>| std::future::pending::<Verdict>().await;

    let consumer = world.consumer(effects.handlers().on(never));
    effects.until(10).await;
    // Time for what would be wrong.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(consumer);

    // Those of the batch too, should their acknowledgements not have arrived.
    let left = client.rest(QUEUE).await;
    assert!(left.iter().any(|message| json(message)["event_type"] == "user.updated"));
}

#[tokio::test]
async fn a_batch_may_hold_a_message_for_half_as_long() {
    let mut world = World::new("batch held").await;
    let effects = Effects::new(&world).await;
    // Three rounds of six minutes, 18 minutes in all: but each may be handled twice.
    world.settings.consumer.handler_timeout = Duration::from_mins(6);
    let (single, _) = Notes::new(async |_| Verdict::Ack);
    let new = |handlers| Consumer::new(world.connect(), &world.settings, "user_events", handlers);

    let refused = new(effects.handlers()).err();

    let key = "user_events".to_owned();
    let held = Duration::from_mins(36);
    let unacked_max = Duration::from_mins(25);
    assert_eq!(refused, Some(SettingsError::HeldTooLong { key, held, unacked_max }));
    assert!(Consumer::new(world.connect(), &world.settings, "user_events", single).is_ok());
}

/// Messages that wait in the consumer's queue, to be taken in this order.
async fn waiting(world: &World, bodies: &[Vec<u8>]) -> Client {
    let (none, _) = Notes::new(async |_| Verdict::Ack);
    let consumer = world.consumer(none);
    world.bound().await;
    consumer.stop().await;
    let client = world.client().await;
    for body in bodies {
        client.publish("", QUEUE, body).await;
    }
    client
}

/// The bodies of so many messages, each with an effect.
fn bodies(count: u128) -> Vec<Vec<u8>> {
    (0..count).map(|number| body(&created(number))).collect()
}

fn body<E: contracts::Event + Clone>(event: &E) -> Vec<u8> {
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    serde_json::to_vec(&Envelope::new(event_id, at, "user-service", event.clone())).unwrap()
}

/// A delivery of a message of its own.
fn delivery() -> Delivery<()> {
    Delivery {
        queue: QUEUE.into(),
        message_id: MessageId::from(EventId::from_uuid(Uuid::new_v4())),
        event_type: "user.created".to_owned(),
        version: 1,
        routing_key: "user.created".to_owned(),
        exchange: EXCHANGE.to_owned(),
        data: (),
        timestamp: "2026-01-15T09:30:00Z".parse().unwrap(),
        service: "user-service".to_owned(),
        attempt: 1,
        redelivered: false,
    }
}
