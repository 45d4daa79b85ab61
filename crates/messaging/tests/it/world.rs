//! A service's database and broker, and its relay and consumer running as tasks.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use contracts::user::{UserCreated, UserUpdated};
use contracts::{Event, UserId};
use messaging::settings::{QueueSettings, RetryDelays};
use messaging::{
    Broker, Consumer, ConsumerSettings, Delivery, Handlers, MessagingSettings, Outbox,
    RabbitSettings, Relay, RelaySettings, Verdict,
};
use sqlx::PgPool;
use testkit::{TestBroker, TestDatabase};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::raw::{Client, api_get};

/// The queue that tests consume.
pub(crate) const QUEUE: &str = "user-service.events";
/// The exchange that tests publish to.
pub(crate) const EXCHANGE: &str = "user.events";

/// One test's servers, migrated.
pub(crate) struct World {
    pub(crate) settings: MessagingSettings,
    pub(crate) pool: PgPool,
    pub(crate) broker: TestBroker,
    pub(crate) database: TestDatabase,
}

impl World {
    pub(crate) async fn new(hint: &str) -> Self {
        let database = testkit::database(hint).await;
        let broker = testkit::broker().await;
        let pool = database.pool().await;
        messaging::migrate(&pool.clone().into()).await.unwrap();
        Self { settings: settings(&broker), pool, broker, database }
    }

    pub(crate) fn outbox(&self) -> Outbox {
        Outbox::new("user-service", &self.settings)
    }

    /// A broker handle of its own, as another process would have.
    pub(crate) fn connect(&self) -> Broker {
        Broker::new("user-service", &self.settings.rabbitmq)
    }

    pub(crate) fn relay(&self, outbox: &Outbox) -> Running {
        self.relay_over(self.connect(), outbox)
    }

    pub(crate) fn relay_over(&self, broker: Broker, outbox: &Outbox) -> Running {
        let relay = Relay::new(self.pool.clone(), broker, outbox.clone(), &self.settings);
        Running::start(|shutdown| relay.run(shutdown))
    }

    pub(crate) fn consumer<S>(&self, handlers: Handlers<S>) -> Running {
        consumer_with(&self.settings, handlers)
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.broker.amqp_uri()).await
    }

    /// Commits an event of its own.
    pub(crate) async fn emit<E: Event>(&self, outbox: &Outbox, event: &E) -> Uuid {
        let event_id = Uuid::now_v7();
        let mut tx = self.pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, event_id, Utc::now(), event).await.unwrap();
        tx.commit().await.unwrap();
        outbox.wake();
        event_id
    }

    pub(crate) async fn outbox_depth(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from messaging_outbox");
        count.fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a consumer of two types has declared and bound its queue: what is published from
    /// now on reaches it.
    pub(crate) async fn bound(&self) {
        self.bound_to(2).await;
    }

    /// [`bound`](Self::bound), for a consumer of as many types.
    pub(crate) async fn bound_to(&self, types: usize) {
        let path = format!("bindings/{}/e/{EXCHANGE}/q/{QUEUE}", self.broker.vhost);
        testkit::eventually("the consumer's queue is bound", async || {
            let bindings = api_get(path.clone()).await?;
            (bindings.as_array()?.len() == types).then_some(())
        })
        .await;
    }

    pub(crate) async fn outbox_is_empty(&self) {
        testkit::eventually("the outbox is empty", async || {
            (self.outbox_depth().await == 0).then_some(())
        })
        .await;
    }
}

/// A consumer with settings of its own.
pub(crate) fn consumer_with<S>(settings: &MessagingSettings, handlers: Handlers<S>) -> Running {
    let broker = Broker::new("user-service", &settings.rabbitmq);
    let consumer = Consumer::new(broker, settings, "user_events", handlers).unwrap();
    Running::start(|shutdown| consumer.run(shutdown))
}

pub(crate) fn settings(broker: &TestBroker) -> MessagingSettings {
    let mut settings = settings_at(&broker.host, broker.port);
    settings.rabbitmq.username.clone_from(&broker.username);
    settings.rabbitmq.password = broker.password.clone().into();
    settings.rabbitmq.vhost.clone_from(&broker.vhost);
    settings
}

/// Settings of tests for the broker at an address, without its login.
pub(crate) fn settings_at(host: &str, port: u16) -> MessagingSettings {
    let names = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect()
    };
    let number = |number| NonZeroU16::new(number).unwrap();
    MessagingSettings {
        rabbitmq: RabbitSettings {
            host: host.to_owned(),
            port,
            username: String::new(),
            password: String::new().into(),
            vhost: "/".to_owned(),
            tls: false,
            tls_ca: std::path::PathBuf::new(),
            heartbeat: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
        },
        queues: names(&[("user_events", QUEUE), ("payment_events", "payment-service.events")]),
        exchanges: names(&[
            ("user_exchange", EXCHANGE),
            ("payment_exchange", "payment.events"),
            ("notification_exchange", "notification.events"),
        ]),
        subscriptions: BTreeMap::new(),
        outbox: messaging::OutboxSettings::default(),
        relay: RelaySettings {
            poll_interval: Duration::from_millis(50),
            confirm_timeout: Duration::from_secs(2),
            ..RelaySettings::default()
        },
        consumer: ConsumerSettings {
            prefetch: number(20),
            concurrency: number(8),
            max_attempts: NonZeroU32::new(3).unwrap(),
            handler_timeout: Duration::from_secs(5),
            retry_delays: delays([50, 150]),
            ..ConsumerSettings::default()
        },
        consumers: BTreeMap::new(),
        queue: QueueSettings::default(),
        queue_overrides: BTreeMap::new(),
    }
}

pub(crate) fn delays<const N: usize>(millis: [u64; N]) -> RetryDelays {
    millis.map(Duration::from_millis).to_vec().try_into().unwrap()
}

pub(crate) fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128((0x0197_c1f0_5c00_7000_u128 << 64) | number))
}

pub(crate) fn created(number: u128) -> UserCreated {
    let email = "a@example.com".to_owned();
    let name = "A".to_owned();
    UserCreated {
        user_id: user(number),
        email,
        name,
        version: None,
        token_id: None,
        expires_at: None,
    }
}

/// An update whose name is its place in the order of one user's updates.
pub(crate) fn updated(number: u128, place: usize) -> UserUpdated {
    UserUpdated {
        user_id: user(number),
        email: "a@example.com".to_owned(),
        name: place.to_string(),
        changed: vec!["name".to_owned()],
        previous_email: None,
        version: None,
    }
}

/// A relay or consumer at work. Dropped, it is killed, as by a crash.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Running {
    pub(crate) fn start<F, E>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Debug + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let work = run(shutdown.clone());
        let task = tokio::spawn(async { work.await.map_err(|error| error.to_string()) });
        Self { shutdown, task }
    }

    /// Asks it to end, without waiting.
    pub(crate) fn drain(&self) {
        self.shutdown.cancel();
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Waits until it has ended by itself or by [`Running::drain`].
    pub(crate) async fn ended(mut self) -> Result<(), String> {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, &mut self.task).await.expect("it ends").unwrap()
    }

    /// Drains it, and waits until it has ended well.
    pub(crate) async fn stop(self) {
        self.drain();
        self.ended().await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Handlers of `user.created` and `user.updated` that note what they are given and answer by a
/// function of it.
pub(crate) struct Notes<F> {
    seen: Arc<Mutex<Vec<Delivery>>>,
    answer: Arc<F>,
}

impl<F, A> Notes<F>
where
    F: Fn(Delivery) -> A + Send + Sync + 'static,
    A: Future<Output = Verdict> + Send + 'static,
{
    pub(crate) fn new(answer: F) -> (Handlers<Self>, Seen) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Self { seen: Arc::clone(&seen), answer: Arc::new(answer) };
        let handlers =
            Handlers::new(notes).on(Self::note::<UserCreated>).on(Self::note::<UserUpdated>);
        (handlers, Seen(seen))
    }

    async fn note<E: Event>(self, delivery: Delivery<E>) -> Verdict {
        let delivery = delivery.map(|event| serde_json::to_value(event).unwrap());
        self.seen.lock().unwrap().push(delivery.clone());
        (self.answer)(delivery).await
    }
}

impl<F> Clone for Notes<F> {
    fn clone(&self) -> Self {
        Self { seen: Arc::clone(&self.seen), answer: Arc::clone(&self.answer) }
    }
}

/// What a handler was given so far.
pub(crate) struct Seen(Arc<Mutex<Vec<Delivery>>>);

impl Seen {
    pub(crate) fn all(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for that many deliveries.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        testkit::eventually("the handler was called often enough", async || {
            let seen = self.all();
            (seen.len() >= count).then_some(seen)
        })
        .await
    }
}
