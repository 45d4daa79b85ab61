//! What a connection, and an attempt to make one, leaves behind: nothing.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use messaging::direct::PublishError;
use messaging::{Broker, Consumer, DeadLetterQueue, EventPublisher, MessagingSettings, Verdict};
use testkit::Proxy;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::world::{Notes, QUEUE, Running, World, created, settings_at};

const ATTEMPTS: usize = 20;

#[tokio::test]
async fn attempts_that_run_out_of_time_leave_no_thread_and_no_socket() {
    attempts_leave_nothing(false).await;
}

#[tokio::test]
async fn tls_handshakes_that_never_end_leave_no_thread_and_no_socket() {
    attempts_leave_nothing(true).await;
}

/// The port takes connections, as the kernel does for it, and never says anything.
async fn attempts_leave_nothing(tls: bool) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let mut settings = settings_at("127.0.0.1", silent.local_addr().unwrap().port());
    settings.rabbitmq.tls = tls;
    settings.rabbitmq.connect_timeout = Duration::from_millis(100);
    // The first attempt makes what the runtime keeps.
    attempt(&settings).await;
    let sockets_before = sockets();

    for _ in 0..ATTEMPTS {
        attempt(&settings).await;
    }

    nothing_is_left(sockets_before).await;
    let accepted = std::iter::from_fn(|| silent.accept().ok()).count();
    assert!(accepted > ATTEMPTS, "{accepted} attempts were made");
}

async fn attempt(settings: &MessagingSettings) {
    let refused = publish(&publisher(settings)).await;
    assert!(matches!(refused, Err(PublishError::Unavailable)), "{refused:?}");
}

#[tokio::test]
async fn connections_that_end_take_their_threads_along() {
    let world = World::new("ends").await;
    publish_and_consume(&world).await;
    let sockets_before = sockets();

    publish_and_consume(&world).await;

    nothing_is_left(sockets_before).await;
}

async fn publish_and_consume(world: &World) {
    let consumer = world.consumer(Notes::new(async |_| Verdict::Ack).0);
    world.bound().await;
    let publisher = publisher(&world.settings);
    publish(&publisher).await.unwrap();
    assert!(threads() >= 2);

    consumer.stop().await;
    drop(publisher);
    testkit::eventually("no thread is left", async || (threads() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_connection_that_hangs_is_ended_with_its_last_user() {
    let mut world = World::new("hangs").await;
    world.settings.rabbitmq.heartbeat = Duration::from_secs(3600);
    let proxy = Proxy::start(world.broker.server()).await;
    world.settings.rabbitmq.host = proxy.address().ip().to_string();
    world.settings.rabbitmq.port = proxy.port();
    let consumer = world.consumer(Notes::new(async |_| Verdict::Ack).0);
    world.bound().await;
    assert_eq!(threads(), 1);
    proxy.freeze().await;

    consumer.stop().await;

    testkit::eventually("no thread is left", async || (threads() == 0).then_some(())).await;
}

/// Somebody else opens the connection anew while the consumer waits for its handler: the queue has
/// no consumer.
#[tokio::test]
async fn a_broker_is_not_connected_while_the_consumer_has_no_subscription() {
    let world = World::new("unsubscribed").await;
    let broker = world.connect();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let (handlers, seen) = Notes::new(move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Verdict::Ack
        }
    });
    let consumer = Consumer::new(broker.clone(), &world.settings, "user_events", handlers).unwrap();
    let _consumer = Running::start(|shutdown| consumer.run(shutdown));
    world.bound().await;
    publish(&publisher(&world.settings)).await.unwrap();
    seen.wait_for(1).await;
    assert!(broker.is_connected());

    testkit::eventually("the connection is closed", async || {
        (world.broker.close_all_connections().await > 0).then_some(())
    })
    .await;
    let dlq = DeadLetterQueue::new(broker.clone(), &world.settings, "user_events").unwrap();
    testkit::eventually("somebody has a connection again", async || dlq.depth().await.ok()).await;

    let client = world.client().await;
    assert_eq!(broker.is_connected(), client.consumers(QUEUE).await == 1);
    gate.add_permits(100);
    client.subscribed(QUEUE, 1).await;
    testkit::eventually("it is connected", async || broker.is_connected().then_some(())).await;
}

fn publisher(settings: &MessagingSettings) -> EventPublisher {
    let broker = Broker::new("user-service", &settings.rabbitmq);
    EventPublisher::new("user-service", &broker, settings).unwrap()
}

async fn publish(publisher: &EventPublisher) -> Result<(), PublishError> {
    publisher.publish(Uuid::now_v7(), Utc::now(), &created(1)).await
}

async fn nothing_is_left(sockets_before: usize) {
    testkit::eventually("no thread and no socket is left", async || {
        let threads = threads();
        let sockets = sockets();
        (threads == 0 && sockets <= sockets_before).then_some(())
    })
    .await;
}

/// lapin's threads of this process, one for each connection.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "lapin-io-loop").count()
}

/// Sockets of this process.
fn sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
