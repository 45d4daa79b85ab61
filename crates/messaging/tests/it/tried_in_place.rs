//! An ordered consumer tries a message again in its place: those of its aggregate wait for it, and
//! those of others do not.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::user::UserUpdated;
use contracts::{Envelope, EventId};
use messaging::settings::SettingsError;
use messaging::{Consumer, Delivery, Handlers, Verdict};
use testkit::Proxy;
use uuid::Uuid;

use crate::raw::{Client, header};
use crate::world::{Notes, QUEUE, World, consumer_with, delays, updated};

/// The aggregates; a message is called by its aggregate and its place there: `a1`.
const A: u128 = 0xa;
const B: u128 = 0xb;
/// Longer than a test takes to look, and shorter than it waits.
const LONG: u64 = 15_000;

#[tokio::test]
async fn an_unavailable_message_is_not_overtaken_and_other_aggregates_go_on() {
    let world = World::new("unavailable in place").await;
    let reader = Reader::new(|call| match call.name {
        "a1" if call.tries < 2 || call.done.is_empty() => {
            Verdict::unavailable("its dependency is away")
        }
        _ => Verdict::Ack,
    });
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2), (B, 1)]).await;

    let _consumer = world.consumer(reader.handlers());

    assert_eq!(reader.done(3).await, ["b1", "a1", "a2"]);
    assert!(reader.calls().iter().all(|call| call.attempt == 1), "it costs no attempt");
    assert_eq!(client.ready(&format!("{QUEUE}.dead-letters")).await, 0);
}

#[tokio::test]
async fn a_message_whose_attempt_failed_is_not_overtaken() {
    let world = World::new("retried in place").await;
    let reader = Reader::new(|call| match call.name {
        "a1" if call.delivery.attempt < 3 => Verdict::retry("not yet"),
        _ => Verdict::Ack,
    });
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2)]).await;

    let _consumer = world.consumer(reader.handlers());

    assert_eq!(reader.done(2).await, ["a1", "a2"]);
    let attempts: Vec<u32> = reader.calls().iter().map(|delivery| delivery.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 1]);
}

#[tokio::test]
async fn the_aggregate_goes_on_once_a_message_that_keeps_failing_is_dead_lettered() {
    let world = World::new("given up in place").await;
    let reader = Reader::new(|call| match call.name {
        "a1" => Verdict::retry("it is poison"),
        _ => Verdict::Ack,
    });
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2)]).await;

    let _consumer = world.consumer(reader.handlers());

    assert_eq!(reader.done(1).await, ["a2"]);
    let seen: Vec<_> = reader.calls().iter().map(name).collect();
    assert_eq!(seen, ["a1", "a1", "a1", "a2"]);
    let dead_letter = client.next(&format!("{QUEUE}.dead-letters")).await;
    assert_eq!(header(&dead_letter, "x-cause").as_deref(), Some("it is poison"));
    assert_eq!(header(&dead_letter, "x-attempt").as_deref(), Some("3"));
}

#[tokio::test]
async fn a_batch_that_found_its_dependency_away_is_tried_again_in_its_place() {
    let world = World::new("batch in place").await;
    let reader = Reader::new(|call| match call.tries {
        0 | 1 => Verdict::unavailable("its dependency is away"),
        _ => Verdict::Ack,
    });
    let handlers = Handlers::new(reader.clone()).on_batch(5, Duration::from_secs(5), in_a_batch);
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2), (B, 1), (A, 3), (B, 2), (A, 4)]).await;

    let _consumer = world.consumer(handlers.ordered());

    let done = reader.done(6).await;
    let of = |aggregate: char| done.iter().filter(move |name| name.starts_with(aggregate));
    assert!(of('a').eq(["a1", "a2", "a3", "a4"]), "{done:?}");
    assert!(of('b').eq(["b1", "b2"]), "{done:?}");
}

/// The last one's answer is that of all.
async fn in_a_batch(reader: Reader, deliveries: Vec<Delivery<UserUpdated>>) -> Verdict {
    let mut answer = Verdict::Ack;
    for delivery in deliveries {
        answer = reader.clone().updated(delivery).await;
    }
    answer
}

#[tokio::test]
async fn a_message_that_waits_in_its_place_is_handed_back_to_it_at_the_shutdown() {
    let mut world = World::new("handed back").await;
    world.settings.consumer.retry_delays = delays([LONG]);
    let reader = Reader::new(unavailable_until_redelivered);
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2)]).await;
    let consumer = world.consumer(reader.handlers());
    reader.called(1).await;

    consumer.stop().await;
    let _next = world.consumer(reader.handlers());

    assert_eq!(reader.done(2).await, ["a1", "a2"]);
}

#[tokio::test]
async fn a_message_that_waits_in_its_place_is_handled_at_once_when_it_comes_again() {
    let mut world = World::new("cut off in place").await;
    world.settings.consumer.retry_delays = delays([LONG]);
    world.settings.consumer.max_attempts = 2.try_into().unwrap();
    let reader = Reader::new(unavailable_until_redelivered);
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2)]).await;
    let proxy = Proxy::start(world.broker.server()).await;
    let mut settings = world.settings.clone();
    settings.rabbitmq.host = proxy.address().ip().to_string();
    settings.rabbitmq.port = proxy.port();
    let _consumer = consumer_with(&settings, reader.handlers());
    reader.called(1).await;

    proxy.cut().await;
    proxy.restore().await;

    assert_eq!(reader.done(2).await, ["a1", "a2"]);
    assert!(reader.calls()[1].redelivered);
}

#[tokio::test]
async fn a_message_is_handed_back_to_its_place_before_the_broker_takes_it_away() {
    let mut world = World::new("unacked in place").await;
    world.settings.consumer.unacked_max = Duration::from_secs(1);
    world.settings.consumer.handler_timeout = Duration::from_millis(100);
    world.settings.consumer.prefetch = 5.try_into().unwrap();
    world.settings.queue.single_active_consumer = true;
    let reader = Reader::new(unavailable_until_redelivered);
    let client = bound(&world).await;
    publish(&client, &[(A, 1), (A, 2), (A, 3), (B, 1)]).await;

    let _consumer = world.consumer(reader.handlers());

    assert_eq!(reader.done(4).await, ["b1", "a1", "a2", "a3"]);
}

#[tokio::test]
async fn events_stay_in_order_when_two_consumers_find_their_dependency_away_in_turn() {
    let mut world = World::new("two away").await;
    world.settings.queue.single_active_consumer = true;
    world.settings.consumer.kill_switch_messages = 3.try_into().unwrap();
    let reader = Reader::new(|call| match call.tries {
        0 => Verdict::unavailable("the database is away"),
        _ => Verdict::Ack,
    });
    let client = bound(&world).await;
    let sent: Vec<_> =
        (1..=10).flat_map(|place| (0..8).map(move |number| (number, place))).collect();
    publish(&client, &sent).await;
    let active = world.consumer(reader.handlers());
    reader.called(20).await;
    let _next = world.consumer(reader.handlers());

    active.stop().await;

    let effects = reader.done(80).await;
    for number in 0..8 {
        let of_one = effects.iter().filter(|name| name.starts_with(&number.to_string()));
        let expected = (1..=10).map(|place| format!("{number}{place}"));
        assert!(of_one.cloned().eq(expected), "{number}: {effects:?}");
    }
}

#[tokio::test]
async fn attempts_that_take_longer_than_a_message_may_stay_unacknowledged_are_refused() {
    let mut world = World::new("attempts in place").await;
    let consumer = |world: &World, is_ordered: bool| {
        let (handlers, _) = Notes::new(async |_| Verdict::Ack);
        let handlers = if is_ordered { handlers.ordered() } else { handlers };
        Consumer::new(world.connect(), &world.settings, "user_events", handlers).err()
    };
    assert_eq!(consumer(&world, true), None);
    world.settings.consumer.retry_delays = delays([60_000, 1_500_000]);

    let refused = consumer(&world, true);

    let takes = Duration::from_secs(60 + 1_500 + 3 * 5);
    let key = "user_events".to_owned();
    let unacked_max = Duration::from_mins(25);
    assert_eq!(refused, Some(SettingsError::AttemptsTakeTooLong { key, takes, unacked_max }));
    assert_eq!(consumer(&world, false), None, "other consumers wait in retry queues");
}

fn unavailable_until_redelivered(call: &Call) -> Verdict {
    if call.name == "a1" && !call.delivery.redelivered {
        return Verdict::unavailable("its dependency is away");
    }
    Verdict::Ack
}

/// An ordered reader. It answers by a function of each call, and notes what has its effect.
#[derive(Clone)]
struct Reader {
    answer: fn(&Call) -> Verdict,
    calls: Arc<Mutex<Vec<Delivery>>>,
    done: Arc<Mutex<Vec<String>>>,
}

/// One call of its handler.
struct Call<'a> {
    /// The message.
    name: &'a str,
    delivery: &'a Delivery,
    /// How often there was a call for the message before.
    tries: usize,
    /// What has had its effect before.
    done: &'a [String],
}

impl Reader {
    fn new(answer: fn(&Call) -> Verdict) -> Self {
        Self { answer, calls: Arc::default(), done: Arc::default() }
    }

    fn handlers(&self) -> Handlers<Self> {
        Handlers::new(self.clone()).on(Self::updated).ordered()
    }

    fn updated(self, delivery: Delivery<UserUpdated>) -> Ready<Verdict> {
        let delivery = delivery.map(|event| serde_json::to_value(event).unwrap());
        let mut calls = self.calls.lock().unwrap();
        let mut done = self.done.lock().unwrap();
        let name = name(&delivery);
        let tries = calls.iter().filter(|call| call.message_id == delivery.message_id).count();
        let verdict = (self.answer)(&Call { name: &name, delivery: &delivery, tries, done: &done });
        calls.push(delivery);
        if verdict == Verdict::Ack {
            done.push(name);
        }
        ready(verdict)
    }

    fn calls(&self) -> Vec<Delivery> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits for that many calls.
    async fn called(&self, count: usize) {
        testkit::eventually("the handler was called often enough", async || {
            (self.calls().len() >= count).then_some(())
        })
        .await;
    }

    /// Waits for that many effects; their messages in the order in which they had them.
    async fn done(&self, count: usize) -> Vec<String> {
        testkit::eventually("the messages have had their effects", async || {
            let done = self.done.lock().unwrap();
            (done.len() >= count).then(|| done.clone())
        })
        .await
    }
}

/// The aggregate's last digit, and the place there.
fn name(delivery: &Delivery) -> String {
    let id = delivery.data["user_id"].as_str().unwrap();
    let place = delivery.data["name"].as_str().unwrap();
    format!("{}{place}", id.chars().last().unwrap())
}

/// Once the queue is there; nobody consumes it yet.
async fn bound(world: &World) -> Client {
    let consumer = world.consumer(Reader::new(|_| Verdict::Ack).handlers());
    world.bound_to(1).await;
    consumer.stop().await;
    world.client().await
}

/// Messages about these aggregates, each with its place there.
async fn publish(client: &Client, messages: &[(u128, usize)]) {
    for &(number, place) in messages {
        let event_id = EventId::from_uuid(Uuid::now_v7());
        let at = "2026-01-15T09:30:00Z".parse().unwrap();
        let envelope = Envelope::new(event_id, at, "user-service", updated(number, place));
        client.publish("", QUEUE, &serde_json::to_vec(&envelope).unwrap()).await;
    }
}
