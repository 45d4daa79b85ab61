//! The dead-letter queue: listed, shown, put back, thrown away; nothing lost on the way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use messaging::dead_letter_queue::BeyondInboxRetention::Leave;
use messaging::dead_letter_queue::{DeadLetterError, Filter};
use messaging::{DeadLetterQueue, Verdict};
use serde_json::json;

use crate::world::{EXCHANGE, Notes, Running, Seen, World, created, updated, user};

#[tokio::test]
async fn what_is_running_is_listed_by_type_cause_and_time_and_stays() {
    let (_world, queue, _running) = dead_letters("list").await;
    let all = list(&queue, json!({})).await;

    assert_eq!(all.len(), 3);
    assert_eq!(all[0].exchange, EXCHANGE);
    assert_eq!((all[0].attempts, all[0].replays), (1, 0));
    assert_eq!(list(&queue, json!({"type": "user.updated"})).await.len(), 1);
    assert_eq!(list(&queue, json!({"cause": "no such"})).await.len(), 2);
    assert_eq!(list(&queue, json!({"cause": "undecodable"})).await[0].event_type, None);
    assert!(list(&queue, json!({"since": "2200-01-01T00:00:00Z"})).await.is_empty());
    assert_eq!(list(&queue, json!({"until": "2200-01-01T00:00:00Z"})).await.len(), 3);
    assert_eq!(list(&queue, json!({"limit": 2})).await.len(), 2);
    assert!(matches!(queue.list(&filter(json!({"limit": 0}))).await, Err(DeadLetterError::Limit)));
    assert_eq!(list(&queue, json!({})).await, all, "looking changes nothing");
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.dead_letters), (0, 3));
}

#[tokio::test]
async fn only_a_peek_shows_what_a_message_says() {
    let (_world, queue, _running) = dead_letters("peek").await;
    let listed = list(&queue, json!({"type": "user.created"})).await;

    let shown = serde_json::to_string(&listed).unwrap();
    assert!(!shown.contains("a@example.com"), "{shown}");
    let peeked = queue.peek(&listed[0].id).await.unwrap();
    assert_eq!(peeked.payload["data"]["email"], "a@example.com");
    assert!(peeked.note.contains("personal data"));
    assert_eq!(peeked.headers["x-cause"], "no such user");
    assert!(matches!(queue.peek("unknown").await, Err(DeadLetterError::NotFound)));
    assert_eq!(list(&queue, json!({})).await.len(), 3);
}

#[tokio::test]
async fn a_replayed_message_begins_anew_and_leaves_the_dead_letter_queue() {
    let world = World::new("replay").await;
    let repaired = Arc::new(AtomicBool::new(false));
    let is_repaired = Arc::clone(&repaired);
    let (handler, seen) = Notes::new(move |_| {
        let repaired = is_repaired.load(Ordering::SeqCst);
        async move { if repaired { Verdict::Ack } else { Verdict::retry("not repaired") } }
    });
    let (queue, _running) = start(&world, handler).await;
    let event_id = world.emit(&world.outbox(), &created(1)).await;
    until_running(&queue, 1).await;

    // Nothing is repaired yet: it comes back, and is not put back again by the same replay.
    assert_eq!(queue.replay(&filter(json!({})), Leave).await.unwrap().replayed, 1);
    seen.wait_for(6).await;
    until_running(&queue, 1).await;
    assert_eq!(list(&queue, json!({})).await[0].replays, 1);
    repaired.store(true, Ordering::SeqCst);
    let replayed = queue.replay(&filter(json!({"id": event_id})), Leave).await.unwrap();

    assert_eq!((replayed.replayed, replayed.stopped), (1, None));
    let last = seen.wait_for(7).await.pop().unwrap();
    assert_eq!(last.message_id.as_str(), event_id.to_string());
    assert_eq!((last.attempt, last.routing_key.as_str()), (1, "user.created"));
    assert_eq!(last.exchange, EXCHANGE);
    assert_eq!(queue.depth().await.unwrap().dead_letters, 0);
}

#[tokio::test]
async fn only_what_matches_is_replayed() {
    let (_world, queue, _running) = dead_letters("replay some").await;

    let replayed = queue.replay(&filter(json!({"type": "user.nothing"})), Leave).await.unwrap();

    assert_eq!(replayed.replayed, 0);
    assert_eq!(queue.depth().await.unwrap().dead_letters, 3);
}

#[tokio::test]
async fn a_discard_takes_exactly_what_was_confirmed() {
    let (world, queue, _running) = dead_letters("discard").await;
    let about = filter(json!({"cause": "no such"}));

    let asked = queue.discard(&about, None).await.unwrap();
    assert_eq!((asked.matched, asked.discarded), (2, 0));
    assert_eq!(queue.depth().await.unwrap().dead_letters, 3, "asking takes nothing");
    world.emit(&world.outbox(), &created(9)).await;
    until_running(&queue, 4).await;
    let changed = queue.discard(&about, Some(&asked.confirmation)).await;
    assert!(matches!(changed, Err(DeadLetterError::Changed)), "one more matches by now");
    let asked = queue.discard(&about, None).await.unwrap();
    let discarded = queue.discard(&about, Some(&asked.confirmation)).await.unwrap();

    assert_eq!((discarded.matched, discarded.discarded), (3, 3));
    let left = list(&queue, json!({})).await;
    assert_eq!(left.len(), 1);
    assert!(left[0].cause.starts_with("undecodable"));
}

#[tokio::test]
async fn two_looks_at_the_same_moment_both_see_everything() {
    let (_world, queue, _running) = dead_letters("turns").await;

    let everything = json!({});
    let looks = tokio::join!(
        list(&queue, everything.clone()),
        list(&queue, everything.clone()),
        list(&queue, everything)
    );

    assert_eq!([looks.0.len(), looks.1.len(), looks.2.len()], [3, 3, 3]);
}

#[tokio::test]
async fn replicas_of_a_service_take_turns_too() {
    let (world, queue, _running) = dead_letters("replicas").await;
    let replica = || DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    let replicas = [replica(), replica(), replica()];

    let looks = replicas.iter().map(|queue| list(queue, json!({})));
    let seen: Vec<_> = futures_util::future::join_all(looks).await;

    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(list(&queue, json!({})).await.len(), 3, "the last turn is over");
}

#[tokio::test]
async fn a_look_that_its_caller_gives_up_gives_everything_back() {
    let (world, queue, _running) = dead_letters("given up").await;
    let replica = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();

    for waits in 1.. {
        let ended = given_up_at(waits, list(&queue, json!({}))).await;
        assert_eq!(list(&replica, json!({})).await.len(), 3, "given up at its wait {waits}");
        if ended {
            assert!(waits > 2, "it was never given up in the middle");
            break;
        }
    }

    assert_eq!(list(&queue, json!({})).await.len(), 3);
}

/// Drops `future` the moment that it waits for the `waits`th time; true if it ended before.
async fn given_up_at<T>(waits: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut waited = 0;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending => {
            waited += 1;
            if waited == waits { Poll::Ready(false) } else { Poll::Pending }
        }
    })
    .await
}

#[tokio::test]
async fn one_look_finds_the_last_of_many_thousands() {
    let (world, queue, _running) = dead_letters("many").await;
    let client = world.client().await;
    let event = json!({"event_type": "user.promoted", "data": {}, "service": "other",
        "timestamp": "2026-01-15T09:30:00Z"});
    client.publish_many("", &queue.name(), event.to_string().as_bytes(), 5_000).await;
    let last = world.emit(&world.outbox(), &created(7)).await;
    until_running(&queue, 5_004).await;

    let about = filter(json!({"id": last}));
    let asked = queue.discard(&about, None).await.unwrap();
    assert_eq!((asked.matched, asked.seen, asked.dead_letters), (1, 5_004, 5_004));
    let replayed = queue.replay(&about, Leave).await.unwrap();

    assert_eq!((replayed.replayed, replayed.dead_letters), (1, 5_004));
    // It fails again, and is dead-lettered again behind all others.
    until_running(&queue, 5_004).await;
    assert_eq!(queue.list(&about).await.unwrap().items[0].replays, 1);
}

#[tokio::test]
async fn a_broker_that_is_away_is_reported_in_time() {
    let mut world = World::new("away").await;
    let proxy = testkit::Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    proxy.cut().await;

    let queue = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();

    assert!(matches!(queue.depth().await, Err(DeadLetterError::Unavailable)));
}

/// A relay and a consumer at work.
pub(crate) type Pair = (Running, Running);

/// Starts them, with the dead-letter queue of their queue.
async fn start<S>(world: &World, handlers: messaging::Handlers<S>) -> (DeadLetterQueue, Pair) {
    let running = (world.relay(&world.outbox()), world.consumer(handlers));
    world.bound().await;
    let queue = DeadLetterQueue::new(world.connect(), &world.settings, "user_events").unwrap();
    (queue, running)
}

/// A dead-letter queue with a `user.created`, a `user.updated` and something that is no event in it.
pub(crate) async fn dead_letters(hint: &str) -> (World, DeadLetterQueue, Pair) {
    let world = World::new(hint).await;
    let (handler, _): (_, Seen) = Notes::new(async |_| Verdict::dead_letter("no such user"));
    let (queue, running) = start(&world, handler).await;
    let outbox = world.outbox();
    world.emit(&outbox, &created(1)).await;
    until_running(&queue, 1).await;
    world.emit(&outbox, &updated(1, 0)).await;
    until_running(&queue, 2).await;
    let odd = json!({"user_id": user(1)}).to_string();
    world.client().await.publish(EXCHANGE, "user.created", odd.as_bytes()).await;
    until_running(&queue, 3).await;
    (world, queue, running)
}

async fn until_running(queue: &DeadLetterQueue, count: u32) {
    testkit::eventually("the messages are dead-lettered", async || {
        (queue.depth().await.ok()?.dead_letters == count).then_some(())
    })
    .await;
}

async fn list(
    queue: &DeadLetterQueue,
    about: serde_json::Value,
) -> Vec<messaging::dead_letter_queue::DeadLetter> {
    queue.list(&filter(about)).await.unwrap().items
}

pub(crate) fn filter(json: serde_json::Value) -> Filter {
    serde_json::from_value(json).unwrap()
}
