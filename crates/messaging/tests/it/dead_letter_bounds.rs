//! Which dead letters a scan chooses, and what it costs, however many there are.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{StreamExt, stream};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use messaging::DeadLetterQueue;
use messaging::dead_letter_queue::BeyondInboxRetention::{Leave, Replay};
use messaging::dead_letter_queue::DeadLetterError;
use serde_json::{Value, json};

use crate::dead_letter_queue::filter;
use crate::raw::Client;
use crate::world::{QUEUE, World, delays};

/// Dead letters in a queue that was not looked after.
const MESSAGES: usize = 20_000;
/// Bytes of each.
const BYTES: usize = 20_000;
/// What a service with a limit of 128 MiB can spare.
const GROWTH_KB_MAX: u64 = 50_000;

#[tokio::test]
async fn a_look_at_twenty_thousand_large_messages_takes_less_than_50_megabytes() {
    let (world, queue) = idle("bytes").await;
    let client = world.client().await;
    let now = Utc::now();
    // A few at a time: this process must not grow before it is measured.
    let sent = stream::iter(0..MESSAGES).map(|number| client.dead_letter(number, BYTES, now));
    sent.buffer_unordered(50).collect::<()>().await;

    let mut grown = Vec::new();
    let before = Memory::now();
    let listed = queue.list(&filter(json!({"limit": 10}))).await;
    grown.push(("list", before.growth_kb()));
    let missing = queue.peek("no such id").await;
    grown.push(("peek", before.growth_kb()));
    let replayed = queue.replay(&filter(json!({"limit": 1})), Leave).await;
    grown.push(("replay", before.growth_kb()));

    assert!(grown.iter().all(|(_, kb)| *kb < GROWTH_KB_MAX), "{grown:?} KB, {replayed:?}");
    assert_eq!(listed.unwrap().items.len(), 10);
    let is_missing =
        matches!(missing, Err(DeadLetterError::NotFound | DeadLetterError::NotSeen { .. }));
    assert!(is_missing, "{missing:?}");
    assert_eq!(replayed.unwrap().replayed, 1);
    assert_eq!(queue.depth().await.unwrap().dead_letters, 19_999, "all others are back");
}

#[tokio::test]
async fn the_oldest_dead_letters_are_chosen_whatever_their_place_in_the_queue() {
    let (world, queue) = idle("oldest").await;
    let client = world.client().await;
    for (number, minutes) in [(1, 10), (2, 40), (3, 20), (4, 30)] {
        client.dead_letter(number, 10, ago(60 * minutes)).await;
    }

    let listed = queue.list(&filter(json!({"limit": 3}))).await.unwrap().items;
    let ids: Vec<_> = listed.iter().map(|dead_letter| dead_letter.id.as_str()).collect();
    assert_eq!(ids, ["m-2", "m-4", "m-3"]);
    assert_eq!(queue.replay(&filter(json!({"limit": 1})), Leave).await.unwrap().replayed, 1);
    assert_eq!(id(&client.next(QUEUE).await), "m-2", "the oldest is replayed first");
    let oldest = filter(json!({"limit": 1}));
    let asked = queue.discard(&oldest, None).await.unwrap();
    queue.discard(&oldest, Some(&asked.confirmation)).await.unwrap();
    queue.replay(&filter(json!({})), Leave).await.unwrap();
    let replayed = [client.next(QUEUE).await, client.next(QUEUE).await];
    assert_eq!(replayed.each_ref().map(id), ["m-3", "m-1"], "m-4 was discarded");
}

#[tokio::test]
async fn a_replay_of_more_than_it_may_hold_takes_the_oldest_and_says_so() {
    let (world, queue) = idle("held").await;
    let client = world.client().await;
    for number in 0..20 {
        client.dead_letter(number, 1_000_000, ago(100 - number as u64)).await;
    }

    let replayed = queue.replay(&filter(json!({})), Leave).await.unwrap();

    assert_eq!((replayed.replayed, replayed.seen, replayed.dead_letters), (16, 20, 20));
    assert!(replayed.stopped.unwrap().contains("16 MiB"));
    let ids: Vec<_> = client.take(QUEUE, 16).await.iter().map(id).collect();
    assert_eq!(ids, (0..16).map(|number| format!("m-{number}")).collect::<Vec<_>>());
    let rest = queue.replay(&filter(json!({})), Leave).await.unwrap();
    assert_eq!((rest.replayed, rest.stopped), (4, None));
}

#[tokio::test]
async fn a_message_that_the_inbox_may_have_forgotten_is_replayed_only_on_request() {
    let (mut world, _) = idle("retention").await;
    let consumer = &mut world.settings.consumer;
    consumer.inbox_retention = Duration::from_secs(3_600);
    consumer.unavailable_max = Duration::ZERO;
    // All attempts of a replayed message take up to 20 minutes.
    (consumer.max_attempts, consumer.retry_delays) =
        (NonZeroU32::new(2).unwrap(), delays([20 * 60 * 1_000]));
    (consumer.prefetch, consumer.handler_timeout) = (NonZeroU16::MIN, Duration::from_millis(1));
    let queue = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    let client = world.client().await;
    for (number, minutes) in [(1, 70), (2, 50), (3, 30)] {
        client.dead_letter(number, 10, ago(60 * minutes)).await;
    }
    // Nothing says when this one failed.
    client.publish("", &queue.name(), b"{}").await;

    let replayed = queue.replay(&filter(json!({})), Leave).await.unwrap();

    assert_eq!((replayed.replayed, replayed.beyond_inbox_retention), (1, 3));
    assert_eq!(id(&client.next(QUEUE).await), "m-3");
    assert_eq!(queue.depth().await.unwrap().dead_letters, 3);
    let about = filter(json!({"id": "m-1"}));
    assert_eq!(queue.replay(&about, Leave).await.unwrap().beyond_inbox_retention, 1);
    let replayed = queue.replay(&about, Replay).await.unwrap();
    assert_eq!((replayed.replayed, replayed.beyond_inbox_retention), (1, 0));
    assert_eq!(id(&client.next(QUEUE).await), "m-1");
}

#[tokio::test]
async fn a_message_that_the_broker_dead_lettered_has_the_time_of_that() {
    let mut world = World::new("broker's own").await;
    world.settings.queue.delivery_limit = NonZeroU32::MIN;
    let queue = idle_in(&world).await;
    let client = world.client().await;
    let before = ago(1);
    client.publish("", QUEUE, b"crashes its consumer").await;
    for _ in 0..2 {
        client.give_back(QUEUE).await;
    }
    testkit::eventually("it is dead-lettered", async || {
        (queue.depth().await.ok()?.dead_letters == 1).then_some(())
    })
    .await;

    let listed = queue.list(&filter(json!({}))).await.unwrap().items;
    assert!(listed[0].last_failed_at.is_some_and(|at| at >= before), "{listed:?}");
    assert_eq!(queue.replay(&filter(json!({})), Leave).await.unwrap().replayed, 1);
}

#[tokio::test]
async fn the_depth_counts_what_a_look_holds() {
    let (world, queue) = idle("depth").await;
    let client = world.client().await;
    let sent = stream::iter(0..500).map(|number| client.dead_letter(number, 10, Utc::now()));
    sent.buffer_unordered(50).collect::<()>().await;
    let replica = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();

    for _ in 0..5 {
        let everything = filter(json!({}));
        let looking = async {
            let listed = queue.list(&everything).await.unwrap();
            assert_eq!(listed.seen, 500);
        };
        let asking = async {
            let mut told = Vec::new();
            for _ in 0..10 {
                told.push(replica.depth().await.unwrap().dead_letters);
            }
            told
        };
        let ((), told) = tokio::join!(looking, asking);
        assert_eq!(told, [500; 10]);
    }
}

#[tokio::test]
async fn two_replicas_that_look_at_the_same_moment_both_see_all_of_many() {
    let (world, queue) = idle("replicas").await;
    let client = world.client().await;
    let sent = stream::iter(0..500).map(|number| client.dead_letter(number, 10, Utc::now()));
    sent.buffer_unordered(50).collect::<()>().await;
    let replica = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();

    let everything = filter(json!({}));
    let (one, other) = tokio::join!(queue.list(&everything), replica.list(&everything));

    let told = [one.unwrap(), other.unwrap()].map(|listed| (listed.seen, listed.dead_letters));
    assert_eq!(told, [(500, 500); 2]);
}

/// A world whose queues are there and whose consumer is not.
async fn idle(hint: &str) -> (World, DeadLetterQueue) {
    let world = World::new(hint).await;
    let queue = idle_in(&world).await;
    (world, queue)
}

async fn idle_in(world: &World) -> DeadLetterQueue {
    let (handler, _) = crate::world::Notes::new(async |_| messaging::Verdict::Ack);
    let consumer = world.consumer(handler);
    world.bound().await;
    consumer.stop().await;
    DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap()
}

fn ago(seconds: u64) -> DateTime<Utc> {
    Utc::now() - Duration::from_secs(seconds)
}

fn id(message: &lapin::message::Delivery) -> String {
    message.properties.message_id().clone().unwrap().to_string()
}

impl Client {
    /// Puts a message `m-<number>` into the dead-letter queue whose attempts failed at a time.
    async fn dead_letter(&self, number: usize, bytes: usize, failed_at: DateTime<Utc>) {
        let failed_at = failed_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut headers = FieldTable::default();
        for name in ["x-first-failed-at", "x-last-failed-at"] {
            headers.insert(name.into(), AMQPValue::LongString(failed_at.as_str().into()));
        }
        let id = format!("m-{number}");
        let properties =
            BasicProperties::default().with_message_id(id.as_str().into()).with_headers(headers);
        let data: Value = "x".repeat(bytes).into();
        let body = json!({"event_type": "user.promoted", "data": data, "service": "other",
            "timestamp": "2026-01-15T09:30:00Z"});
        let queue = format!("{QUEUE}.dead-letters");
        self.publish_with("", &queue, body.to_string().as_bytes(), properties).await;
    }
}

/// The memory of this process, which nextest gives each test for itself.
struct Memory {
    resident_kb: u64,
}

impl Memory {
    /// Forgets the peak before this moment.
    fn now() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { resident_kb: status_kb("VmRSS:") }
    }

    /// From then to the highest since.
    fn growth_kb(&self) -> u64 {
        status_kb("VmHWM:").saturating_sub(self.resident_kb)
    }
}

fn status_kb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
