//! A message that takes its process down: the others that were prefetched with it pay nothing.

use std::process::{Child, Command};
use std::time::Duration;

use contracts::user::UserCreated;
use contracts::{Envelope, EventId};
use messaging::{Broker, Consumer, Delivery, Handlers, MessagingSettings, Verdict};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::inbox::{count, effects};
use crate::raw::json;
use crate::world::{Notes, QUEUE, World, created, settings_at};

/// The name of the message that aborts whichever process handles it.
const POISON: &str = "poison";
/// Where the consumer's process finds the broker and the database.
const CONNECTION: [&str; 6] =
    ["CRASH_HOST", "CRASH_PORT", "CRASH_USER", "CRASH_PASSWORD", "CRASH_VHOST", "CRASH_DATABASE"];

#[tokio::test]
async fn a_message_that_aborts_its_process_is_dead_lettered_alone_whatever_its_place() {
    for place in [0, 9, 20] {
        let mut world = World::new("abort").await;
        world.settings.queue.delivery_limit = 5.try_into().unwrap();
        effects(&world.pool).await;
        let (none, _) = Notes::new(async |_| Verdict::Ack);
        let consumer = world.consumer(none);
        world.bound().await;
        consumer.stop().await;
        let client = world.client().await;
        for number in 0..=20 {
            let name = if number == place { POISON } else { "A" };
            client.publish("", QUEUE, &body(number, name)).await;
        }

        let mut process = Process::start(&world);
        testkit::eventually("the poison is dead-lettered and the others are handled", async || {
            process.start_again_if_ended(&world);
            let dead_letters = client.ready("user-service.events.dead-letters").await;
            (dead_letters > 0 && count(&world.pool).await == 20).then_some(())
        })
        .await;

        let dead_letters = client.rest("user-service.events.dead-letters").await;
        assert_eq!(dead_letters.len(), 1, "only the poison, which was message {place}");
        assert_eq!(json(&dead_letters[0])["data"]["name"], POISON);
        assert_eq!(client.ready(QUEUE).await, 0);
    }
}

/// Not a test: what the consumer's process runs. It returns at once when nobody started it as one.
#[test]
#[ignore = "started by the test above as a process of its own"]
fn consumes_until_it_is_killed() {
    let vars = CONNECTION.map(|name| std::env::var(name).unwrap_or_default());
    let [host, port, username, password, vhost, database] = vars;
    if host.is_empty() {
        return;
    }
    let mut settings = settings_at(&host, port.parse().unwrap());
    settings.rabbitmq.username = username;
    settings.rabbitmq.password = password.into();
    settings.rabbitmq.vhost = vhost;
    settings.queue.delivery_limit = 5.try_into().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(consume(settings, &database));
}

async fn consume(settings: MessagingSettings, database: &str) {
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy(database).unwrap();
    let broker = Broker::new("user-service", &settings.rabbitmq);
    // The same types as the consumer that made the queue.
    let updated = async |_: PgPool, _: Delivery<contracts::user::UserUpdated>| Verdict::Ack;
    let handlers = Handlers::new(pool).on(handle).on(updated);
    let consumer = Consumer::new(broker, &settings, "user_events", handlers).unwrap();
    consumer.run(CancellationToken::new()).await.unwrap();
}

async fn handle(pool: PgPool, delivery: Delivery<UserCreated>) -> Verdict {
    if delivery.data.name == POISON {
        std::process::abort();
    }
    // Long enough for the poison to take this one along, if it is handled beside it.
    tokio::time::sleep(Duration::from_millis(20)).await;
    crate::inbox::effect(pool, delivery.map(|event| serde_json::to_value(event).unwrap())).await
}

/// A consumer as a process of its own; killed when dropped.
struct Process(Child);

impl Process {
    fn start(world: &World) -> Self {
        let rabbit = &world.settings.rabbitmq;
        let values = [
            rabbit.host.clone(),
            rabbit.port.to_string(),
            rabbit.username.clone(),
            rabbit.password.expose().clone(),
            rabbit.vhost.clone(),
            world.database.url().to_owned(),
        ];
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash::consumes_until_it_is_killed"])
            .envs(CONNECTION.into_iter().zip(values))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn start_again_if_ended(&mut self, world: &World) {
        if self.0.try_wait().unwrap().is_some() {
            *self = Self::start(world);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn body(number: u128, name: &str) -> Vec<u8> {
    let event = UserCreated { name: name.to_owned(), ..created(number) };
    let event_id = EventId::from_uuid(Uuid::now_v7());
    let at = "2026-01-15T09:30:00Z".parse().unwrap();
    serde_json::to_vec(&Envelope::new(event_id, at, "user-service", event)).unwrap()
}
