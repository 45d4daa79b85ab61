//! A database and a virtual host of their own, and our side at work on them.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::user::UserUpdated;
use contracts::{Envelope, Event, EventId, UserId};
use messaging::{
    Broker, ConsumerSettings, MessagingSettings, Outbox, RabbitSettings, Relay, RelaySettings,
};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::{TestBroker, TestDatabase};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const SERVICE: &str = "user-service";
pub(crate) const QUEUE: &str = "bench.events";
pub(crate) const EXCHANGE: &str = "user.events";
pub(crate) const BATCH: u16 = 500;
pub(crate) const PREFETCH: u16 = 100;
pub(crate) const CONCURRENCY: u16 = 8;
/// The longest name that an event may have.
const NAME_CHARS: usize = 100;
/// The size of a message's body.
const BODY_BYTES: usize = 512;

pub(crate) struct World {
    pub(crate) settings: MessagingSettings,
    pub(crate) pool: PgPool,
    pub(crate) broker: TestBroker,
    _database: TestDatabase,
}

impl World {
    pub(crate) async fn new(hint: &str) -> Self {
        let database = testkit::database(hint).await;
        let broker = testkit::broker().await;
        let connections = u32::from(CONCURRENCY) + 4;
        let pool = PgPoolOptions::new().max_connections(connections).connect(database.url());
        let pool = pool.await.unwrap();
        messaging::migrate(&pool.clone().into()).await.unwrap();
        Self { settings: settings(&broker), pool, broker, _database: database }
    }

    pub(crate) fn connect(&self) -> Broker {
        Broker::new(SERVICE, &self.settings.rabbitmq)
    }

    pub(crate) fn outbox(&self) -> Outbox {
        Outbox::new(SERVICE, &self.settings)
    }

    pub(crate) fn relay(&self, outbox: &Outbox) -> Running {
        let relay = Relay::new(self.pool.clone(), self.connect(), outbox.clone(), &self.settings);
        Running::start(|shutdown| async { relay.run(shutdown).await.unwrap() })
    }

    /// Commits so many rows, each of an aggregate of its own, evenly over the partitions.
    pub(crate) async fn fill_outbox(&self, rows: i64) {
        sqlx::query(
            "insert into messaging_outbox
                 (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory)
             select gen_random_uuid(), gen_random_uuid(), n % 8, $2, $3, $4, true
             from generate_series(1, $1) as n",
        )
        .bind(rows)
        .bind(EXCHANGE)
        .bind(UserUpdated::TYPE)
        .bind(body(Uuid::now_v7(), &event()))
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub(crate) async fn outbox_is_empty(&self) -> bool {
        let found = sqlx::query_scalar("select not exists (select from messaging_outbox)");
        found.fetch_one(&self.pool).await.unwrap()
    }
}

/// Outbox rows that the broker has confirmed, in this process so far.
pub(crate) fn confirmed() -> u64 {
    let labels = [
        "messaging_destination_name",
        "messaging_operation_name",
        "messaging_system",
        "error_type",
    ];
    let sent = telemetry::metrics::counter("messaging_client_sent_messages_total", "", &labels);
    sent.with_label_values(&[EXCHANGE, "send", "rabbitmq", ""]).get()
}

/// Waits until so many are confirmed; gives how many are then.
pub(crate) async fn reached(count: u64) -> u64 {
    while confirmed() < count {
        sleep(Duration::from_millis(1)).await;
    }
    confirmed()
}

/// An event whose envelope is of the agreed size.
pub(crate) fn event() -> UserUpdated {
    let mut event = UserUpdated {
        user_id: UserId::from_uuid(Uuid::now_v7()),
        email: "ada@example.com".to_owned(),
        name: String::new(),
        changed: vec!["name".to_owned()],
        previous_email: None,
        version: None,
    };
    let bytes = body(Uuid::now_v7(), &event).len();
    event.name = "x".repeat(NAME_CHARS);
    let left = BODY_BYTES - bytes - NAME_CHARS;
    event.email.insert_str(0, &"x".repeat(left));
    event
}

/// The message that carries an event.
pub(crate) fn body(event_id: Uuid, event: &UserUpdated) -> Vec<u8> {
    let event_id = EventId::from_uuid(event_id);
    let envelope = Envelope::new(event_id, occurred_at(), SERVICE, event.clone());
    serde_json::to_vec(&envelope).unwrap()
}

/// One moment for all, so that all bodies are of one size.
pub(crate) fn occurred_at() -> DateTime<Utc> {
    "2026-01-15T09:30:00.123456Z".parse().unwrap()
}

/// A task that is told to end, and then waited for.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn settings(broker: &TestBroker) -> MessagingSettings {
    let names = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect()
    };
    let number = |number| NonZeroU16::new(number).unwrap();
    MessagingSettings {
        rabbitmq: RabbitSettings {
            host: broker.host.clone(),
            port: broker.port,
            username: broker.username.clone(),
            password: broker.password.clone().into(),
            vhost: broker.vhost.clone(),
            tls: false,
            tls_ca: std::path::PathBuf::new(),
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
        },
        queues: names(&[("bench_events", QUEUE)]),
        exchanges: names(&[("user_exchange", EXCHANGE)]),
        subscriptions: BTreeMap::from([(
            UserUpdated::TYPE.to_owned(),
            vec!["bench_events".to_owned()],
        )]),
        outbox: messaging::OutboxSettings::default(),
        relay: RelaySettings { batch_size: number(BATCH), ..RelaySettings::default() },
        consumer: ConsumerSettings {
            prefetch: number(PREFETCH),
            concurrency: number(CONCURRENCY),
            ..ConsumerSettings::default()
        },
        consumers: BTreeMap::new(),
        queue: messaging::settings::QueueSettings::default(),
        queue_overrides: BTreeMap::new(),
    }
}
