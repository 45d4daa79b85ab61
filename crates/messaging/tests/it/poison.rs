//! Messages that lapin's parser refuses, with the whole connection: here they harm nobody else.

use messaging::dead_letter_queue::{BeyondInboxRetention, Filter};
use messaging::{Consumer, DeadLetterQueue, Verdict};
use serde_json::{Value, json};
use testkit::RawAmqp;
use testkit::raw_amqp::{FRAME_MAX, header, headers, long, unreadable_properties};

use crate::dead_letter_queue::filter;
use crate::raw::api_get;
use crate::world::{EXCHANGE, Notes, QUEUE, Running, Seen, World, created};

/// Good messages before the poison, and as many behind it.
const NEIGHBOURS: u128 = 30;
/// What consumers agree with the broker on, in bytes: the headers of a message have to fit into one frame.
const AGREED_FRAME: usize = 32 * 1024;
/// What a message loses when it is moved, the last for its length: without it, it can be handled.
const LEFT_OUT: [&str; 3] = ["reply_to", "cluster_id", "nest"];

#[tokio::test]
async fn a_message_with_a_property_that_is_no_utf_8_is_dead_lettered_alone() {
    let world = Poisoned::new().await;
    let mut client = RawAmqp::connect(&world.world.broker).await;
    for (name, properties) in unreadable_properties() {
        let before = world.seen.all().len();

        neighbours(&mut client).await;
        client.publish(EXCHANGE, b"user.created", &properties, &event(7)).await;
        neighbours(&mut client).await;

        world.neighbours_are_handled(name, before).await;
        world.one_dead_letter_is_worked_on(name, "UTF-8").await;
    }
}

#[tokio::test]
async fn a_message_with_a_header_nested_too_deeply_is_dead_lettered_alone() {
    let world = Poisoned::new().await;
    let mut client = RawAmqp::connect(&world.world.broker).await;
    let mut nest = Vec::new();
    for _ in 0..5_000 {
        nest = if nest.is_empty() { long(&nest) } else { long(&[&b"A"[..], &nest].concat()) };
    }

    neighbours(&mut client).await;
    let properties = headers(&[header(b"nest", b'A', &nest)]);
    client.publish(EXCHANGE, b"user.created", &properties, &event(7)).await;
    neighbours(&mut client).await;

    world.neighbours_are_handled("nest", 0).await;
    world.one_dead_letter_is_worked_on("nest", "header").await;
}

/// With the headers of a retry it would be too large for a frame, over which the broker closes the
/// connection that publishes.
#[tokio::test]
async fn a_message_whose_headers_nearly_fill_a_frame_is_retried_without_the_largest() {
    let world = World::new("headers").await;
    let (handlers, seen) = Notes::new(async |_| Verdict::retry("not yet"));
    let _consumer = world.consumer(handlers);
    world.bound().await;
    let mut client = RawAmqp::connect(&world.broker).await;

    client.publish(EXCHANGE, b"user.created", &full_headers(AGREED_FRAME), &event(7)).await;

    let dlq = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    let dead_letter = testkit::eventually("it is dead-lettered", async || {
        dlq.list(&Filter::default()).await.unwrap().items.pop()
    })
    .await;
    assert_eq!((dead_letter.cause.as_str(), dead_letter.attempts), ("not yet", 3));
    assert_eq!(seen.all().len(), 3);
    let peeked = dlq.peek(&dead_letter.id).await.unwrap();
    assert_eq!(peeked.headers["small"], "kept");
    assert!(!peeked.headers.contains_key("large"));
}

/// The broker counts deliveries in a header, for which the frame has no room.
#[tokio::test]
async fn a_message_that_no_frame_is_large_enough_for_is_dead_lettered_alone() {
    let world = World::new("too large").await;
    let (handlers, seen) = Notes::new(async |_| std::future::pending().await);
    let consumer = world.consumer(handlers);
    world.bound().await;
    let mut client = RawAmqp::connect(&world.broker).await;
    client.publish(EXCHANGE, b"user.created", &full_headers(AGREED_FRAME), &event(7)).await;
    seen.wait_for(1).await;

    // Killed: the broker delivers it again.
    drop(consumer);
    let (handlers, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handlers);
    neighbours(&mut client).await;

    seen.wait_for(usize::try_from(NEIGHBOURS).unwrap()).await;
    let dlq = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    let listed = testkit::eventually("it is dead-lettered", async || {
        Some(dlq.list(&Filter::default()).await.ok()?.items).filter(|items| !items.is_empty())
    })
    .await;
    assert_eq!(listed.len(), 1);
    assert!(listed[0].cause.contains("cannot be read"), "{}", listed[0].cause);
    assert_eq!(listed[0].bytes, event(7).len());
}

/// The publisher has agreed on larger frames than the consumer.
#[tokio::test]
async fn a_message_whose_headers_are_longer_than_a_frame_of_the_consumer_is_dead_lettered_alone() {
    let world = Poisoned::new().await;
    let mut client = RawAmqp::connect(&world.world.broker).await;
    let properties = full_headers(usize::try_from(FRAME_MAX).unwrap());

    neighbours(&mut client).await;
    client.publish(EXCHANGE, b"user.created", &properties, &event(7)).await;
    neighbours(&mut client).await;

    world.neighbours_are_handled("headers", 0).await;
    world.one_dead_letter_is_worked_on("headers", "cannot be read").await;
}

/// The broker dead-letters by itself what crashes its consumer too often: with all its bytes.
#[tokio::test]
async fn a_dead_letter_queue_can_be_worked_on_with_a_message_of_the_brokers_in_it_that_is_no_utf_8()
{
    let world = Poisoned::new().await;
    let mut client = RawAmqp::connect(&world.world.broker).await;
    world.dlq.depth().await.unwrap();
    for (name, properties) in unreadable_properties() {
        client.publish("", world.dlq.name().as_bytes(), &properties, &event(7)).await;

        world.one_dead_letter_is_worked_on(name, "UTF-8").await;
    }
}

/// Two headers, which together with the frame around them take as much as a frame of this size may.
fn full_headers(frame: usize) -> Vec<u8> {
    let small = header(b"small", b'S', &long(b"kept"));
    let empty = header(b"large", b'S', &long(b""));
    let room = frame - 8 - 12 - headers(&[small.clone(), empty]).len();
    headers(&[small, header(b"large", b'S', &long(&vec![b'a'; room]))])
}

/// An event whose envelope has no id.
fn event(number: u128) -> Vec<u8> {
    let event = json!({"event_type": "user.created", "data": created(number), "service": "other",
        "timestamp": "2026-01-15T09:30:00Z"});
    event.to_string().into_bytes()
}

async fn neighbours(client: &mut RawAmqp) {
    for number in 0..NEIGHBOURS {
        client.publish(EXCHANGE, b"user.created", &[0, 0], &event(number)).await;
    }
}

/// A consumer, and the connection it has.
struct Poisoned {
    world: World,
    connections: Vec<String>,
    seen: Seen,
    dlq: DeadLetterQueue,
    _consumer: Running,
}

impl Poisoned {
    async fn new() -> Self {
        let world = World::new("poison").await;
        let broker = world.connect();
        let dlq = DeadLetterQueue::new(broker.clone(), &world.settings, "user_events").unwrap();
        let (handlers, seen) = Notes::new(async |_| Verdict::Ack);
        let consumer = Consumer::new(broker, &world.settings, "user_events", handlers).unwrap();
        let consumer = Running::start(|shutdown| consumer.run(shutdown));
        world.bound().await;
        world.client().await.subscribed(QUEUE, 1).await;
        let connections = testkit::eventually("the connection is listed", async || {
            Some(connections(&world).await).filter(|names| names.len() == 1)
        })
        .await;
        Self { world, connections, seen, dlq, _consumer: consumer }
    }

    async fn neighbours_are_handled(&self, poison: &str, before: usize) {
        let count = before + usize::try_from(NEIGHBOURS).unwrap() * 2;
        self.seen.wait_for(count).await;
        testkit::eventually("the poison is dead-lettered", async || {
            (self.dlq.depth().await.ok()?.dead_letters > 0).then_some(())
        })
        .await;
        assert_eq!(self.seen.all().len(), count, "{poison}: each neighbour is handled once");
    }

    /// The dead letter is listed with its cause, shown with its whole body, replayed, and discarded;
    /// no connection breaks over it.
    async fn one_dead_letter_is_worked_on(&self, poison: &str, cause: &str) {
        let handled = self.seen.all().len();
        let listed = testkit::eventually("it is listed", async || {
            let listed = self.dlq.list(&Filter::default()).await.unwrap().items;
            (!listed.is_empty()).then_some(listed)
        })
        .await;
        assert_eq!(listed.len(), 1, "{poison}: {listed:?}");
        assert!(listed[0].cause.contains(cause), "{poison}: {}", listed[0].cause);
        let peeked = self.dlq.peek(&listed[0].id).await.unwrap();
        let body = serde_json::from_slice::<Value>(&event(7)).unwrap();
        assert_eq!(peeked.payload, body, "{poison}");
        // The time when it failed may be among what cannot be read.
        let replayed =
            self.dlq.replay(&Filter::default(), BeyondInboxRetention::Replay).await.unwrap();
        assert_eq!((replayed.replayed, replayed.stopped), (1, None), "{poison}");
        let everything = filter(json!({}));
        if LEFT_OUT.contains(&poison) {
            self.seen.wait_for(handled + 1).await;
            assert_eq!(self.dlq.depth().await.unwrap().dead_letters, 0, "{poison}");
        } else {
            testkit::eventually("it is dead-lettered again", async || {
                (self.dlq.depth().await.ok()?.dead_letters == 1).then_some(())
            })
            .await;
            let again = self.dlq.list(&everything).await.unwrap().items;
            assert_eq!((again.len(), again[0].replays), (1, 1), "{poison}");
            assert!(again[0].cause.contains("cannot be read"), "{poison}: {}", again[0].cause);
            let asked = self.dlq.discard(&everything, None).await.unwrap();
            let discarded = self.dlq.discard(&everything, Some(&asked.confirmation)).await.unwrap();
            assert_eq!(discarded.discarded, 1, "{poison}");
        }
        let connections = connections(&self.world).await;
        assert_eq!(connections, self.connections, "{poison}: no connection broke");
    }
}

/// The names of the connections to consume, of which each has its own.
async fn connections(world: &World) -> Vec<String> {
    let list = api_get(format!("vhosts/{}/connections", world.broker.vhost)).await.unwrap();
    let connections = list.as_array().unwrap().iter();
    let consuming = connections.filter(|one| one["user_provided_name"] == "user-service.consume");
    consuming.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}
