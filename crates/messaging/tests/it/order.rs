//! The order of an aggregate's events with several instances.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::user::UserUpdated;
use contracts::{Envelope, EventId};
use messaging::{Delivery, Handlers, Verdict};
use sqlx::PgPool;
use testkit::Proxy;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::world::{QUEUE, World, consumer_with, updated, user};

const AGGREGATES: u128 = 50;
const EVENTS: usize = 40;

#[tokio::test]
async fn events_stay_in_order_when_the_active_consumer_of_two_is_cut_off() {
    let mut world = World::new("single active").await;
    world.settings.queue.single_active_consumer = true;
    sqlx::query("create table effects (id bigserial, user_id uuid, place int)")
        .execute(&world.pool)
        .await
        .unwrap();
    let handlers = || Handlers::new(world.pool.clone()).on(have_effect).ordered();
    let proxy = Proxy::start(world.broker.server()).await;
    let mut cut_off = world.settings.clone();
    cut_off.rabbitmq.host = proxy.address().ip().to_string();
    cut_off.rabbitmq.port = proxy.port();
    let before = world.consumer(handlers());
    world.bound_to(1).await;
    before.stop().await;
    let client = world.client().await;
    for place in 0..EVENTS {
        for number in 0..AGGREGATES {
            client.publish("", QUEUE, &body(&updated(number, place))).await;
        }
    }

    let _active = consumer_with(&cut_off, handlers());
    testkit::eventually("it is at work", async || {
        (!effects(&world.pool).await.is_empty()).then_some(())
    })
    .await;
    let _next = world.consumer(handlers());
    testkit::eventually("a good part has its effect", async || {
        (effects(&world.pool).await.len() > 500).then_some(())
    })
    .await;
    proxy.cut().await;
    testkit::eventually("every event has its effect", async || {
        (effects(&world.pool).await.len() == 2_000).then_some(())
    })
    .await;

    let effects = effects(&world.pool).await;
    for number in 0..AGGREGATES {
        let of_user = effects.iter().filter(|(id, _)| *id == user(number).as_uuid());
        let places: Vec<i32> = of_user.map(|(_, place)| *place).collect();
        assert!(places.iter().copied().eq(0..40), "user {number}: {places:?}");
    }
}

async fn have_effect(pool: PgPool, delivery: Delivery<UserUpdated>) -> Verdict {
    let work = async {
        // Side by side, some would overtake others.
        tokio::time::sleep(Duration::from_millis(
            delivery.message_id.as_str().bytes().map(u64::from).sum::<u64>() % 10,
        ))
        .await;
        let mut tx = pool.begin().await?;
        if delivery.claim(&mut tx).await? {
            sqlx::query("insert into effects (user_id, place) values ($1, $2)")
                .bind(delivery.data.user_id.as_uuid())
                .bind(delivery.data.name.parse::<i32>().unwrap())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    };
    let done = work.await.map_err(|error: sqlx::Error| error.to_string());
    // Between commit and acknowledgement: some have had their effect when the connection is cut.
    tokio::time::sleep(Duration::from_millis(2)).await;
    done.map_err(Verdict::retry).into()
}

/// Whose and which, in the order in which they were had.
async fn effects(pool: &PgPool) -> Vec<(Uuid, i32)> {
    let effects = sqlx::query_as("select user_id, place from effects order by id");
    effects.fetch_all(pool).await.unwrap()
}

fn body(event: &UserUpdated) -> Vec<u8> {
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    serde_json::to_vec(&Envelope::new(event_id, at, "user-service", event.clone())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stay_in_order_when_the_active_consumer_of_two_is_drained() {
    let mut world = World::new("drained in order").await;
    world.settings.queue.single_active_consumer = true;
    sqlx::query("create table effects (id bigserial, user_id uuid, place int)")
        .execute(&world.pool)
        .await
        .unwrap();
    let handlers = || Handlers::new(world.pool.clone()).on(slow_effect).ordered();
    let active = world.consumer(handlers());
    world.bound_to(1).await;
    let client = world.client().await;
    for place in 0..EVENTS {
        for number in 0..3 {
            client.publish("", QUEUE, &body(&updated(number, place))).await;
        }
    }
    let _next = world.consumer(handlers());
    testkit::eventually("a part has its effect", async || {
        (effects(&world.pool).await.len() > 20).then_some(())
    })
    .await;

    active.stop().await;

    testkit::eventually("every event has its effect", async || {
        (effects(&world.pool).await.len() == 3 * EVENTS).then_some(())
    })
    .await;
    let effects = effects(&world.pool).await;
    for number in 0..3 {
        let of_user = effects.iter().filter(|(id, _)| *id == user(number).as_uuid());
        let places: Vec<i32> = of_user.map(|(_, place)| *place).collect();
        assert!(places.iter().copied().eq(0..40), "user {number}: {places:?}");
    }
}

/// Slow enough for the next consumer to overtake whoever handles on after it is gone.
async fn slow_effect(pool: PgPool, delivery: Delivery<UserUpdated>) -> Verdict {
    tokio::time::sleep(Duration::from_millis(30)).await;
    have_effect(pool, delivery).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_consumer_ends_with_its_channel_and_is_not_cancelled_before() {
    let mut world = World::new("ended with the channel").await;
    world.settings.queue.single_active_consumer = true;
    let wire = Wire::start(world.broker.server()).await;
    let mut watched = world.settings.clone();
    watched.rabbitmq.host = wire.address.ip().to_string();
    watched.rabbitmq.port = wire.address.port();
    let client = world.client().await;

    for _ in 0..HANDOVERS {
        let handlers = Handlers::new(world.pool.clone()).on(have_effect).ordered();
        let subscribed = wire.seen(BASIC_CONSUME);
        let consumer = consumer_with(&watched, handlers);
        testkit::eventually("it consumes", async || {
            let consumes = wire.seen(BASIC_CONSUME) > subscribed;
            (consumes && client.consumers(QUEUE).await == 1).then_some(())
        })
        .await;
        consumer.stop().await;
        let is_gone = async || (client.consumers(QUEUE).await == 0).then_some(());
        testkit::eventually("it is gone", is_gone).await;
    }

    assert_eq!(wire.seen(BASIC_CONSUME), HANDOVERS);
    assert_eq!(wire.seen(BASIC_CANCEL), 0, "the next consumer would overtake what is in hand");
}

/// How often: what the client library does when a consumer is dropped comes sooner or later.
const HANDOVERS: usize = 40;
/// Methods of AMQP, by class and number.
const BASIC_CONSUME: [u8; 4] = [0, 60, 0, 20];
const BASIC_CANCEL: [u8; 4] = [0, 60, 0, 30];

/// A wire to a broker on which a client's methods are seen.
struct Wire {
    address: SocketAddr,
    methods: Arc<Mutex<Vec<[u8; 4]>>>,
}

impl Wire {
    async fn start(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let methods = Arc::default();
        let seen = Arc::clone(&methods);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let broker = TcpStream::connect(&broker).await.unwrap();
                let (from_client, mut to_client) = client.into_split();
                let (mut from_broker, to_broker) = broker.into_split();
                tokio::spawn(async move { io::copy(&mut from_broker, &mut to_client).await });
                tokio::spawn(pass_on(from_client, to_broker, Arc::clone(&seen)));
            }
        });
        Self { address, methods }
    }

    fn seen(&self, method: [u8; 4]) -> usize {
        self.methods.lock().unwrap().iter().filter(|seen| **seen == method).count()
    }
}

/// Passes frames on, and notes the methods among them, until the client is gone.
async fn pass_on(
    mut client: OwnedReadHalf,
    mut broker: OwnedWriteHalf,
    methods: Arc<Mutex<Vec<[u8; 4]>>>,
) -> io::Result<()> {
    let mut protocol = [0; 8];
    client.read_exact(&mut protocol).await?;
    broker.write_all(&protocol).await?;
    loop {
        // A type, a channel and a length; the payload; an end.
        let mut head = [0; 7];
        client.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut frame = vec![0; usize::try_from(length).unwrap() + 1];
        client.read_exact(&mut frame).await?;
        if let (1, Some(method)) = (head[0], frame.first_chunk()) {
            methods.lock().unwrap().push(*method);
        }
        broker.write_all(&head).await?;
        broker.write_all(&frame).await?;
    }
}
