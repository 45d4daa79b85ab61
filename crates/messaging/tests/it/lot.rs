//! The parking lot: listed, looked into, put back, thrown away; nothing lost on the way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use messaging::parking::{Filter, ParkingError};
use messaging::{ParkingLot, Verdict};
use serde_json::json;

use crate::world::{EXCHANGE, Notes, Running, Seen, World, created, updated, user};

#[tokio::test]
async fn what_is_parked_is_listed_by_type_cause_and_time_and_stays() {
    let (_world, lot, _parked) = parked("list").await;
    let all = list(&lot, json!({})).await;

    assert_eq!(all.len(), 3);
    assert_eq!(all[0].exchange, EXCHANGE);
    assert_eq!((all[0].attempts, all[0].replays), (1, 0));
    assert_eq!(list(&lot, json!({"type": "user.updated"})).await.len(), 1);
    assert_eq!(list(&lot, json!({"cause": "no such"})).await.len(), 2);
    assert_eq!(list(&lot, json!({"cause": "undecodable"})).await[0].event_type, None);
    assert!(list(&lot, json!({"since": "2200-01-01T00:00:00Z"})).await.is_empty());
    assert_eq!(list(&lot, json!({"until": "2200-01-01T00:00:00Z"})).await.len(), 3);
    assert_eq!(list(&lot, json!({"limit": 2})).await.len(), 2);
    assert!(matches!(lot.list(&filter(json!({"limit": 0}))).await, Err(ParkingError::Limit)));
    assert_eq!(list(&lot, json!({})).await, all, "looking changes nothing");
    let depth = lot.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.parked), (0, 3));
}

#[tokio::test]
async fn only_a_peek_shows_what_a_message_says() {
    let (_world, lot, _parked) = parked("peek").await;
    let listed = list(&lot, json!({"type": "user.created"})).await;

    let shown = serde_json::to_string(&listed).unwrap();
    assert!(!shown.contains("a@example.com"), "{shown}");
    let peeked = lot.peek(&listed[0].id).await.unwrap();
    assert_eq!(peeked.payload["data"]["email"], "a@example.com");
    assert!(peeked.note.contains("personal data"));
    assert_eq!(peeked.headers["x-cause"], "no such user");
    assert!(matches!(lot.peek("unknown").await, Err(ParkingError::NotFound)));
    assert_eq!(list(&lot, json!({})).await.len(), 3);
}

#[tokio::test]
async fn a_replayed_message_begins_anew_and_leaves_the_lot() {
    let world = World::new("replay").await;
    let repaired = Arc::new(AtomicBool::new(false));
    let is_repaired = Arc::clone(&repaired);
    let (handler, seen) = Notes::new(move |_| {
        let repaired = is_repaired.load(Ordering::SeqCst);
        async move { if repaired { Verdict::Ack } else { Verdict::retry("not repaired") } }
    });
    let (lot, _running) = start(&world, handler).await;
    let event_id = world.emit(&world.outbox(), &created(1)).await;
    until_parked(&lot, 1).await;

    // Nothing is repaired yet: it comes back, and is not put back again by the same replay.
    assert_eq!(lot.replay(&filter(json!({}))).await.unwrap().replayed, 1);
    seen.wait_for(6).await;
    until_parked(&lot, 1).await;
    assert_eq!(list(&lot, json!({})).await[0].replays, 1);
    repaired.store(true, Ordering::SeqCst);
    let replayed = lot.replay(&filter(json!({"id": event_id}))).await.unwrap();

    assert_eq!((replayed.replayed, replayed.stopped), (1, None));
    let last = seen.wait_for(7).await.pop().unwrap();
    assert_eq!(last.message_id.as_str(), event_id.to_string());
    assert_eq!((last.attempt, last.routing_key.as_str()), (1, "user.created"));
    assert_eq!(last.exchange, EXCHANGE);
    assert_eq!(lot.depth().await.unwrap().parked, 0);
}

#[tokio::test]
async fn only_what_matches_is_replayed() {
    let (_world, lot, _parked) = parked("replay some").await;

    let replayed = lot.replay(&filter(json!({"type": "user.nothing"}))).await.unwrap();

    assert_eq!(replayed.replayed, 0);
    assert_eq!(lot.depth().await.unwrap().parked, 3);
}

#[tokio::test]
async fn a_discard_takes_exactly_what_was_confirmed() {
    let (world, lot, _parked) = parked("discard").await;
    let about = filter(json!({"cause": "no such"}));

    let asked = lot.discard(&about, None).await.unwrap();
    assert_eq!((asked.matched, asked.discarded), (2, 0));
    assert_eq!(lot.depth().await.unwrap().parked, 3, "asking takes nothing");
    world.emit(&world.outbox(), &created(9)).await;
    until_parked(&lot, 4).await;
    let changed = lot.discard(&about, Some(&asked.confirmation)).await;
    assert!(matches!(changed, Err(ParkingError::Changed)), "one more matches by now");
    let asked = lot.discard(&about, None).await.unwrap();
    let discarded = lot.discard(&about, Some(&asked.confirmation)).await.unwrap();

    assert_eq!((discarded.matched, discarded.discarded), (3, 3));
    let left = list(&lot, json!({})).await;
    assert_eq!(left.len(), 1);
    assert!(left[0].cause.starts_with("undecodable"));
}

#[tokio::test]
async fn two_looks_at_the_same_moment_both_see_everything() {
    let (_world, lot, _parked) = parked("turns").await;

    let everything = json!({});
    let looks = tokio::join!(
        list(&lot, everything.clone()),
        list(&lot, everything.clone()),
        list(&lot, everything)
    );

    assert_eq!([looks.0.len(), looks.1.len(), looks.2.len()], [3, 3, 3]);
}

#[tokio::test]
async fn replicas_of_a_service_take_turns_too() {
    let (world, lot, _parked) = parked("replicas").await;
    let replica = || ParkingLot::new(world.connect(), &world.settings, "user_events").unwrap();
    let replicas = [replica(), replica(), replica()];

    let looks = replicas.iter().map(|lot| list(lot, json!({})));
    let seen: Vec<_> = futures_util::future::join_all(looks).await;

    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(list(&lot, json!({})).await.len(), 3, "the last turn is over");
}

#[tokio::test]
async fn a_look_that_its_caller_gives_up_gives_everything_back() {
    let (world, lot, _parked) = parked("given up").await;
    let replica = ParkingLot::new(world.connect(), &world.settings, "user_events").unwrap();

    for waits in 1.. {
        let ended = given_up_at(waits, list(&lot, json!({}))).await;
        assert_eq!(list(&replica, json!({})).await.len(), 3, "given up at its wait {waits}");
        if ended {
            assert!(waits > 2, "it was never given up in the middle");
            break;
        }
    }

    assert_eq!(list(&lot, json!({})).await.len(), 3);
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
    let (world, lot, _parked) = parked("many").await;
    let client = world.client().await;
    let event = json!({"event_type": "user.promoted", "data": {}, "service": "other",
        "timestamp": "2026-01-15T09:30:00Z"});
    client.publish_many("", &lot.name(), event.to_string().as_bytes(), 5_000).await;
    let last = world.emit(&world.outbox(), &created(7)).await;
    until_parked(&lot, 5_004).await;

    let about = filter(json!({"id": last}));
    let asked = lot.discard(&about, None).await.unwrap();
    assert_eq!((asked.matched, asked.seen, asked.parked), (1, 5_004, 5_004));
    let replayed = lot.replay(&about).await.unwrap();

    assert_eq!((replayed.replayed, replayed.parked), (1, 5_004));
    // It fails again, and is parked again behind all others.
    until_parked(&lot, 5_004).await;
    assert_eq!(lot.list(&about).await.unwrap().items[0].replays, 1);
}

#[tokio::test]
async fn a_broker_that_is_away_is_told_in_time() {
    let mut world = World::new("away").await;
    let proxy = testkit::Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    proxy.cut().await;

    let lot = ParkingLot::new(world.connect(), &world.settings, "user_events").unwrap();

    assert!(matches!(lot.depth().await, Err(ParkingError::Unavailable)));
}

/// A relay and a consumer at work.
pub(crate) type Pair = (Running, Running);

/// Starts them, with the parking lot of their queue.
async fn start<S>(world: &World, handlers: messaging::Handlers<S>) -> (ParkingLot, Pair) {
    let running = (world.relay(&world.outbox()), world.consumer(handlers));
    world.bound().await;
    let lot = ParkingLot::new(world.connect(), &world.settings, "user_events").unwrap();
    (lot, running)
}

/// A lot with a `user.created`, a `user.updated` and something that is no event in it.
pub(crate) async fn parked(hint: &str) -> (World, ParkingLot, Pair) {
    let world = World::new(hint).await;
    let (handler, _): (_, Seen) = Notes::new(async |_| Verdict::dead_letter("no such user"));
    let (lot, running) = start(&world, handler).await;
    let outbox = world.outbox();
    world.emit(&outbox, &created(1)).await;
    until_parked(&lot, 1).await;
    world.emit(&outbox, &updated(1, 0)).await;
    until_parked(&lot, 2).await;
    let odd = json!({"user_id": user(1)}).to_string();
    world.client().await.publish(EXCHANGE, "user.created", odd.as_bytes()).await;
    until_parked(&lot, 3).await;
    (world, lot, running)
}

async fn until_parked(lot: &ParkingLot, count: u32) {
    testkit::eventually("the messages are parked", async || {
        (lot.depth().await.ok()?.parked == count).then_some(())
    })
    .await;
}

async fn list(lot: &ParkingLot, about: serde_json::Value) -> Vec<messaging::parking::Parked> {
    lot.list(&filter(about)).await.unwrap().items
}

pub(crate) fn filter(json: serde_json::Value) -> Filter {
    serde_json::from_value(json).unwrap()
}
