//! A process of the campaign: it commits intents and relays them, or has their effects.

use std::time::Duration;

use chrono::Utc;
use contracts::UserId;
use contracts::user::UserUpdated;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use messaging::{Broker, Consumer, Delivery, Handlers, MessagingSettings, Outbox, Relay, Verdict};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::config_dir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tusk_config::{Loader, Vars};
use uuid::Uuid;

/// The upper half of every event id; the lower one is the intent.
const EVENT: u128 = 0x0197_c1f0_5c00_7000 << 64;
/// Between two intents of one publisher.
const PACE: Duration = Duration::from_millis(4);
/// After a commit: a kill then finds something half done.
const LINGER: Duration = Duration::from_millis(10);
/// The same where something is wrong, which a few kills are to find for certain.
const LINGER_LONG: Duration = Duration::from_millis(150);
/// What the worker's log says, without the span of each message.
const LOGGED: &str = "messaging=info,messaging::consumer::work=warn";
/// The key of the queue that is consumed.
const QUEUE: &str = "user_events";

/// Not a test: what a worker's process runs. It returns at once when nobody has given it a role.
#[test]
#[ignore = "the campaign starts it as a process of its own"]
fn works() {
    let vars = Vars::process();
    if let Some(role) = vars.get("CAMPAIGN_ROLE") {
        tracing_subscriber::fmt().with_ansi(false).with_env_filter(LOGGED).init();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(work(role, &vars));
    }
}

/// The intent that an event is about.
pub(crate) fn intent_of(event_id: &str) -> i64 {
    let id: Uuid = event_id.parse().unwrap();
    i64::try_from(id.as_u128() & u128::from(u64::MAX)).unwrap()
}

async fn work(role: &str, vars: &Vars) {
    let settings = settings(vars.clone());
    let pool = PgPoolOptions::new()
        .max_connections(12)
        // As the services have it: less, and a busy machine looks like a database that is away.
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy(vars.get("DATABASE_URL").unwrap())
        .unwrap();
    let wrong = vars.get("CAMPAIGN_WRONG").unwrap_or_default();
    let shutdown = CancellationToken::new();
    let number = vars.get("CAMPAIGN_NUMBER").unwrap();
    let roles = async {
        match role {
            "publisher" => publish(&pool, &settings, number, wrong, &shutdown).await,
            _ => consume(&pool, &settings, wrong, &shutdown).await,
        }
    };
    tokio::join!(roles, until_told_to_end(&shutdown));
}

/// The settings of `config/`, with what makes faults short.
pub(crate) fn settings(vars: Vars) -> MessagingSettings {
    let vars = vars.with("CONSUMER_MAX_ATTEMPTS", "2").with("RELAY_CONFIRM_TIMEOUT", "3s");
    Loader::new(config_dir()).file("message_queue").vars(vars).load().unwrap()
}

/// SIGTERM drains; a campaign that is gone leaves nobody behind.
async fn until_told_to_end(shutdown: &CancellationToken) {
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    let parent = std::os::unix::process::parent_id();
    loop {
        tokio::select! {
            _ = terminated.recv() => return shutdown.cancel(),
            () = sleep(Duration::from_secs(1)) => {}
        }
        if std::os::unix::process::parent_id() != parent {
            std::process::exit(1);
        }
    }
}

async fn publish(
    pool: &PgPool,
    settings: &MessagingSettings,
    number: &str,
    wrong: &str,
    shutdown: &CancellationToken,
) {
    let outbox = Outbox::new("user-service", settings);
    let relay = async {
        if wrong == "Relay" {
            return relay_carelessly(pool, settings, shutdown).await;
        }
        let broker = Broker::new("user-service", &settings.rabbitmq);
        let relay = Relay::new(pool.clone(), broker, outbox.clone(), settings);
        relay.run(shutdown.clone()).await.unwrap();
    };
    tokio::join!(relay, commit_intents(pool, &outbox, number, shutdown));
}

/// One intent after the other, each with its event, for as long as the flow is open.
#[allow(clippy::print_stdout, reason = "the output is the worker's log")]
async fn commit_intents(pool: &PgPool, outbox: &Outbox, number: &str, end: &CancellationToken) {
    let first = number.parse::<i64>().unwrap() * 10_000_000;
    while !end.is_cancelled() {
        // Asked each time: after an error it is not known whether the last one was committed.
        match commit_intent(pool, outbox, number, first).await {
            Ok(true) => outbox.wake(),
            Ok(false) => sleep(Duration::from_millis(200)).await,
            Err(error) => println!("no intent: {error}"),
        }
        sleep(PACE).await;
    }
}

async fn commit_intent(
    pool: &PgPool,
    outbox: &Outbox,
    publisher: &str,
    first: i64,
) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let intent = sqlx::query_scalar::<_, i64>(
        "insert into intents (publisher, intent)
         select $1, coalesce((select max(intent) from intents where publisher = $1), $2) + 1
         from flow where open and heard
         returning intent",
    );
    let intent = intent.bind(publisher).bind(first).fetch_optional(&mut *tx).await?;
    let Some(intent) = intent else { return Ok(false) };
    let event_id = Uuid::from_u128(EVENT | u128::from(intent.unsigned_abs()));
    let event = UserUpdated {
        user_id: UserId::from_uuid(Uuid::from_u128(u128::from(intent.unsigned_abs() % 50))),
        email: "ada@example.com".to_owned(),
        name: intent.to_string(),
        changed: vec!["name".to_owned()],
        previous_email: None,
        version: None,
    };
    let enqueued = outbox.enqueue(&mut tx, event_id, Utc::now(), &event).await;
    enqueued.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    tx.commit().await?;
    Ok(true)
}

async fn consume(
    pool: &PgPool,
    settings: &MessagingSettings,
    wrong: &str,
    end: &CancellationToken,
) {
    let broker = Broker::new("user-service", &settings.rabbitmq);
    let effects = Effects { pool: pool.clone(), has_inbox: wrong != "Inbox" };
    let handlers = Handlers::new(effects).on(Effects::have);
    let consumer = Consumer::new(broker.clone(), settings, QUEUE, handlers).unwrap();
    let running = async { consumer.run(end.clone()).await.unwrap() };
    tokio::join!(running, say_that_it_hears(pool, &broker, end));
}

/// Opens the flow once the consumer's queue is bound.
async fn say_that_it_hears(pool: &PgPool, broker: &Broker, end: &CancellationToken) {
    while !end.is_cancelled() {
        if broker.is_connected() {
            let told = sqlx::query("update flow set heard = true").execute(pool).await;
            if told.is_ok() {
                return;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One row per effect. Poison always fails.
#[derive(Clone)]
struct Effects {
    pool: PgPool,
    has_inbox: bool,
}

impl Effects {
    #[allow(clippy::print_stdout, reason = "the output is the worker's log")]
    async fn have(self, delivery: Delivery<UserUpdated>) -> Verdict {
        let intent: i64 = delivery.data.name.parse().unwrap();
        if super::oracle::is_poison(intent) {
            return Verdict::retry("it is poison");
        }
        match self.commit(&delivery, intent).await {
            Ok(()) => {
                sleep(if self.has_inbox { LINGER } else { LINGER_LONG }).await;
                Verdict::Ack
            }
            Err(error) => {
                println!("no effect: {error}");
                Verdict::unavailable(error)
            }
        }
    }

    async fn commit(
        &self,
        delivery: &Delivery<UserUpdated>,
        intent: i64,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        if !self.has_inbox || delivery.claim(&mut tx).await? {
            sqlx::query("insert into effects values ($1, $2)")
                .bind(intent)
                .bind(delivery.message_id.as_str())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }
}

/// A relay as it must not be: it deletes what it is about to publish, and waits for no confirm.
async fn relay_carelessly(pool: &PgPool, settings: &MessagingSettings, end: &CancellationToken) {
    let rabbit = &settings.rabbitmq;
    let uri = format!(
        "amqp://{}:{}@{}:{}/{}",
        rabbit.username,
        rabbit.password.expose(),
        rabbit.host,
        rabbit.port,
        rabbit.vhost.replace('/', "%2f"),
    );
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    while !end.is_cancelled() {
        let rows = sqlx::query_as::<_, (String, String, Vec<u8>)>(
            "delete from messaging_outbox where id in
                 (select id from messaging_outbox order by id limit 50 for update skip locked)
             returning exchange, routing_key, envelope",
        );
        let rows = rows.fetch_all(pool).await.unwrap();
        sleep(LINGER_LONG).await;
        for (exchange, key, body) in rows {
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            channel
                .basic_publish(exchange.into(), key.into(), options, &body, properties)
                .await
                .unwrap();
        }
    }
}
