//! The archive: what was sent is kept for as long as the settings say, erased with whom it is about,
//! and sent again to whom it is meant for.

use std::time::Duration;

use chrono::Utc;
use contracts::user::UserDeleted;
use database::Database;
use messaging::archive::{self, ArchiveError, ArchivedEvent, Filter, Target};
use messaging::{EventArchive, Outbox, OutboxSettings, Verdict, erasure};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::raw::{header, json as body};
use crate::world::{EXCHANGE, Notes, QUEUE, World, created, updated, user};

/// A queue that `[queues]` names, of a reader that comes later.
const NEW_READER: &str = "payment-service.events";

#[tokio::test]
async fn what_was_sent_is_archived_when_the_settings_say_so_and_only_then() {
    let (world, outbox) = archiving("archive").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let relay = world.relay(&outbox);
    let first = world.emit(&outbox, &created(1)).await;
    let second = world.emit(&outbox, &updated(1, 0)).await;
    world.outbox_is_empty().await;
    relay.stop().await;
    let mut off = world;
    off.settings.outbox = OutboxSettings::default();
    let _relay = off.relay(&outbox);
    off.emit(&outbox, &created(2)).await;
    off.outbox_is_empty().await;

    let archive = archive_of(&off, &outbox);
    let events = list(&archive, json!({})).await;
    assert_eq!(ids(&events), [first, second]);
    assert_eq!(
        (events[0].event_type.as_str(), events[0].exchange.as_str()),
        ("user.created", EXCHANGE)
    );
    assert_eq!(events[0].aggregate, user(1).as_uuid());
    assert_eq!(client.take(&queue, 3).await.len(), 3, "archived or not, all were sent");
}

#[tokio::test]
async fn events_are_listed_by_what_the_filter_says_a_bounded_page_at_a_time() {
    let (world, outbox) = archiving("archive list").await;
    let ids_of = fill(&world, &outbox, 5).await;
    let archive = archive_of(&world, &outbox);

    assert_eq!(list(&archive, json!({"type": "user.created"})).await.len(), 5);
    assert!(list(&archive, json!({"type": "user.deleted"})).await.is_empty());
    assert_eq!(ids(&list(&archive, json!({"aggregate": user(2).as_uuid()})).await), [ids_of[2]]);
    assert_eq!(ids(&list(&archive, json!({"id": ids_of[3]})).await), [ids_of[3]]);
    assert!(list(&archive, json!({"since": "2200-01-01T00:00:00Z"})).await.is_empty());
    assert_eq!(list(&archive, json!({"until": "2200-01-01T00:00:00Z"})).await.len(), 5);
    let page = archive.list(&filter(json!({"limit": 3}))).await.unwrap();
    assert_eq!(ids(&page.items), ids_of[..3]);
    let rest = archive.list(&filter(json!({"limit": 3, "after": page.next}))).await.unwrap();
    assert_eq!((ids(&rest.items), rest.next), (ids_of[3..].to_vec(), None));
    for limit in [0, 1_001] {
        let refused = archive.list(&filter(json!({ "limit": limit }))).await;
        assert!(matches!(refused, Err(ArchiveError::Limit)));
    }
    assert!(serde_json::from_value::<Filter>(json!({"typ": "user.created"})).is_err());
}

#[tokio::test]
async fn clean_up_deletes_all_that_is_too_old_however_much_it_is_and_nothing_else() {
    let (world, outbox) = archiving("archive purge").await;
    let young = fill(&world, &outbox, 2).await;
    sqlx::query(
        "insert into messaging_archive
             (event_id, id, aggregate_id, partition, exchange, routing_key, envelope, mandatory, sent_at)
         select gen_random_uuid(), -n, gen_random_uuid(), 0, 'e', 'k', '', true, now() - interval '8 days'
         from generate_series(1, 12000) as n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let database = Database::from(world.pool.clone());

    assert_eq!(archive::purge(&database, &world.settings.outbox).await.unwrap(), 12_000);
    let archive = archive_of(&world, &outbox);
    assert_eq!(ids(&list(&archive, json!({})).await), young);
    assert_eq!(
        archive::purge(&database, &OutboxSettings::default()).await.unwrap(),
        2,
        "turned off"
    );
}

#[tokio::test]
async fn an_erased_aggregate_leaves_only_what_happened_after_its_erasure() {
    let (world, outbox) = archiving("archive erase").await;
    let client = world.client().await;
    client.listen(EXCHANGE, "#").await;
    let before = fill(&world, &outbox, 2).await;
    // Of the same user, and not sent yet when the user is deleted.
    let late = world.emit(&outbox, &updated(1, 0)).await;
    let deletion = Uuid::now_v7();
    let mut tx = world.pool.begin().await.unwrap();
    erasure::erase(&mut tx, user(1).as_uuid()).await.unwrap();
    let deleted = UserDeleted { user_id: user(1) };
    outbox.enqueue(&mut tx, deletion, Utc::now(), &deleted).await.unwrap();
    tx.commit().await.unwrap();

    let relay = world.relay(&outbox);
    world.outbox_is_empty().await;
    relay.stop().await;

    let archive = archive_of(&world, &outbox);
    let kept = ids(&list(&archive, json!({})).await);
    assert_eq!(kept, [before[0], deletion], "neither {} nor {late}", before[1]);

    // A relay that archives at the very moment of the commit has not seen the erasure.
    sqlx::query(
        "insert into messaging_archive
             (event_id, id, aggregate_id, partition, exchange, routing_key, envelope, mandatory)
         values (gen_random_uuid(), 1, $1, 0, 'e', 'k', '', true)",
    )
    .bind(user(1).as_uuid())
    .execute(&world.pool)
    .await
    .unwrap();
    let database = Database::from(world.pool.clone());
    assert_eq!(archive::purge(&database, &world.settings.outbox).await.unwrap(), 1);
    assert_eq!(ids(&list(&archive, json!({})).await), kept);
}

#[tokio::test]
async fn an_erasure_that_is_rolled_back_erases_nothing() {
    let (world, outbox) = archiving("archive rollback").await;
    let all = fill(&world, &outbox, 2).await;
    let mut tx = world.pool.begin().await.unwrap();
    erasure::erase(&mut tx, user(1).as_uuid()).await.unwrap();
    tx.rollback().await.unwrap();

    let database = Database::from(world.pool.clone());
    archive::purge(&database, &world.settings.outbox).await.unwrap();
    assert_eq!(ids(&list(&archive_of(&world, &outbox), json!({})).await), all);
}

#[tokio::test]
async fn a_new_reader_is_fed_from_history_and_no_other_reader_gets_it_again() {
    let (world, outbox) = archiving("archive feed").await;
    let client = world.client().await;
    let other = client.listen(EXCHANGE, "#").await;
    let all = fill(&world, &outbox, 30).await;
    assert_eq!(client.take(&other, 30).await.len(), 30);
    let (handlers, seen) = Notes::new(async |_| Verdict::Ack);
    let _consumer = world.consumer(handlers);
    world.bound().await;
    let archive = archive_of(&world, &outbox);
    let everything = filter(json!({}));

    let asked = archive.republish(&everything, &queue_of(QUEUE), None).await.unwrap();
    assert_eq!((asked.matched, asked.republished), (30, 0));
    let wrong = archive.republish(&everything, &queue_of(QUEUE), Some("0000000000000000")).await;
    assert!(matches!(wrong, Err(ArchiveError::Changed)));
    let elsewhere = archive.republish(&everything, &Target::All, Some(&asked.confirmation)).await;
    assert!(matches!(elsewhere, Err(ArchiveError::Changed)), "it was confirmed for one queue");
    assert!(seen.all().is_empty());
    let done =
        archive.republish(&everything, &queue_of(QUEUE), Some(&asked.confirmation)).await.unwrap();
    assert_eq!((done.republished, done.next, done.stopped), (30, None, None));

    let fed = seen.wait_for(30).await;
    let mut fed_ids: Vec<String> = fed.iter().map(|each| each.message_id.to_string()).collect();
    let mut all: Vec<String> = all.iter().map(Uuid::to_string).collect();
    fed_ids.sort();
    all.sort();
    assert_eq!(fed_ids, all, "the ids are those of before");
    for delivery in fed {
        assert_eq!(
            (delivery.exchange.as_str(), delivery.routing_key.as_str()),
            (EXCHANGE, "user.created")
        );
        assert_eq!(delivery.attempt, 1);
    }
    assert!(client.rest(&other).await.is_empty());
}

#[tokio::test]
async fn what_is_fed_carries_its_exchange_and_key_and_keeps_its_order() {
    let (world, outbox) = archiving("archive headers").await;
    let client = world.client().await;
    client.queue(NEW_READER).await;
    let all = fill(&world, &outbox, 12).await;
    let archive = archive_of(&world, &outbox);

    let (mut after, mut fed) = (None, 0);
    loop {
        let page = filter(json!({"limit": 5, "after": after}));
        let asked = archive.republish(&page, &queue_of(NEW_READER), None).await.unwrap();
        let confirmation = Some(asked.confirmation.as_str());
        let done = archive.republish(&page, &queue_of(NEW_READER), confirmation).await.unwrap();
        fed += done.republished;
        after = done.next;
        if after.is_none() {
            break;
        }
    }

    assert_eq!(fed, 12);
    let messages = client.take(NEW_READER, 12).await;
    let ids: Vec<Value> =
        messages.iter().map(|message| body(message)["event_id"].clone()).collect();
    assert_eq!(json!(ids), json!(all));
    assert_eq!(header(&messages[0], "x-original-exchange").unwrap(), EXCHANGE);
    assert_eq!(header(&messages[0], "x-original-routing-key").unwrap(), "user.created");
}

#[tokio::test]
async fn a_queue_that_is_not_there_stops_it_and_one_that_is_not_named_is_refused() {
    let (world, outbox) = archiving("archive refusals").await;
    fill(&world, &outbox, 3).await;
    let archive = archive_of(&world, &outbox);
    let page = filter(json!({}));

    let asked = archive.republish(&page, &queue_of(NEW_READER), None).await.unwrap();
    let confirmation = Some(asked.confirmation.as_str());
    let stopped = archive.republish(&page, &queue_of(NEW_READER), confirmation).await.unwrap();
    assert_eq!(stopped.republished, 0);
    assert_eq!(stopped.stopped.as_deref(), Some("the queue is not there"));
    let stranger = archive.republish(&page, &queue_of("amq.rabbitmq.trace"), None).await;
    assert!(matches!(stranger, Err(ArchiveError::UnknownQueue)));
}

#[tokio::test]
async fn what_goes_to_all_goes_through_the_outbox_and_is_archived_once() {
    let (world, outbox) = archiving("archive to all").await;
    let client = world.client().await;
    let queue = client.listen(EXCHANGE, "#").await;
    let all = fill(&world, &outbox, 3).await;
    client.take(&queue, 3).await;
    let _relay = world.relay(&outbox);
    let archive = archive_of(&world, &outbox);
    let page = filter(json!({}));

    let asked = archive.republish(&page, &Target::All, None).await.unwrap();
    let done = archive.republish(&page, &Target::All, Some(&asked.confirmation)).await.unwrap();

    assert_eq!(done.republished, 3);
    let again = client.take(&queue, 3).await;
    assert_eq!(again[0].routing_key.as_str(), "user.created");
    world.outbox_is_empty().await;
    assert_eq!(ids(&list(&archive, json!({})).await), all);
}

pub(crate) async fn archiving(hint: &str) -> (World, Outbox) {
    let mut world = World::new(hint).await;
    world.settings.outbox.archive = Duration::from_secs(7 * 86_400);
    let outbox = world.outbox();
    (world, outbox)
}

pub(crate) fn archive_of(world: &World, outbox: &Outbox) -> EventArchive {
    EventArchive::new(world.pool.clone(), world.connect(), outbox.clone(), &world.settings)
}

#[tokio::test]
async fn a_reader_is_fed_only_what_it_reads() {
    let (mut world, outbox) = archiving("fed").await;
    fill(&world, &outbox, 3).await;
    let readers = |queue: &str| vec![queue.to_owned()];
    world.settings.subscriptions = [
        ("user.created".to_owned(), readers("user_events")),
        ("user.updated".to_owned(), readers("payment_events")),
    ]
    .into();
    let archive = archive_of(&world, &outbox);
    let matched = async |queue: &str| {
        let all = filter(json!({}));
        let target = queue_of(queue);
        archive.republish(&all, &target, None).await.unwrap().matched
    };

    assert_eq!(matched("user-service.events").await, 3);
    assert_eq!(matched("payment-service.events").await, 0);
}

#[tokio::test]
async fn pages_are_in_the_order_of_writing_whatever_the_ids_of_the_events_are() {
    let (world, outbox) = archiving("pages").await;
    let client = world.client().await;
    client.listen(EXCHANGE, "#").await;
    let ids: Vec<Uuid> = (1..=5).rev().map(Uuid::from_u128).collect();
    for (number, id) in (0..).zip(&ids) {
        let mut tx = world.pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, *id, Utc::now(), &created(number)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let relay = world.relay(&outbox);
    world.outbox_is_empty().await;
    relay.stop().await;
    let archive = archive_of(&world, &outbox);

    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = archive.list(&filter(json!({"limit": 2, "after": after}))).await.unwrap();
        listed.extend(page.items.iter().map(|item| item.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }

    assert_eq!(listed, ids);
}

/// Events of as many users, sent and archived.
pub(crate) async fn fill(world: &World, outbox: &Outbox, count: u128) -> Vec<Uuid> {
    // Somebody listens, or they would stay in the outbox.
    let client = world.client().await;
    client.listen(EXCHANGE, "#").await;
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(world.emit(outbox, &created(number)).await);
    }
    let relay = world.relay(outbox);
    world.outbox_is_empty().await;
    relay.stop().await;
    ids
}

fn queue_of(name: &str) -> Target {
    Target::Queue(name.to_owned())
}

fn filter(json: Value) -> Filter {
    serde_json::from_value(json).unwrap()
}

async fn list(archive: &EventArchive, of: Value) -> Vec<ArchivedEvent> {
    archive.list(&filter(of)).await.unwrap().items
}

fn ids(events: &[ArchivedEvent]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}
