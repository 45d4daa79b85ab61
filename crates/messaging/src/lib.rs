//! Messaging: events that are neither lost nor had twice.
//!
//! ```text
//!   publisher's database                broker                     consumer's database
//!
//!   begin                          ┌─ topic exchange ─┐            begin
//!     the change                   │   user.events    │              claim         (inbox)
//!     enqueue          (outbox)    └────────┬─────────┘              the effect
//!   commit ── relay ── publish ──▶          ▼            consumer  commit
//!             delete ◀─ confirm         ┌ queue ┐ ────────────────▶ ack
//!                                   retry ▲   │ dead-lettered
//! ```
//!
//! - The event is written with the change ([`outbox`]), sent once it is committed ([`relay`]), and
//!   deleted once the broker has confirmed it: at least once, in order per aggregate.
//! - The message's effect is written with its id ([`inbox`]): at most once.
//! - What fails comes back after a delay, without blocking the others; what keeps failing is
//!   dead-lettered with its cause ([`consumer`]), for people, who look into the [`dead_letter_queue`]
//!   and put it back or throw it away, over HTTP ([`admin`]).
//! - An event may have a time of its own ([`schedule`]); what was sent may be kept and sent again
//!   ([`archive`]), until it is erased with whom it is about ([`erasure`]); work that several services
//!   do is led by a [`process_manager`].
//! - What is counted has OpenTelemetry's names ([`metrics`]), spans its attributes; payloads are on none.
//! - The [`broker`] may be away at any time, at start too: the API answers, the outbox fills.
//!
//! Nothing here spawns a task, but for one that owns a connection to the broker: [`relay::Relay::run`], [`consumer::Consumer::run`] and
//! [`inbox::Cleaner::run`] are futures for the chassis' supervisor. All three can be cloned, so that
//! the supervisor can start them again.
//!
//! ```no_run
//! use contracts::user::UserDeleted;
//! use messaging::{Broker, Consumer, Delivery, Handlers, MessagingSettings, Outbox, Relay, Verdict};
//! use sqlx::PgPool;
//! use tokio_util::sync::CancellationToken;
//!
//! async fn erase(customers: PgPool, delivery: Delivery<UserDeleted>) -> Verdict {
//!     let erased = async {
//!         let mut tx = customers.begin().await?;
//!         if delivery.claim(&mut tx).await? {
//!             sqlx::query("delete from customers where user_id = $1")
//!                 .bind(delivery.data.user_id.as_uuid())
//!                 .execute(&mut *tx)
//!                 .await?;
//!         }
//!         tx.commit().await
//!     };
//!     // Or, where the database is away, that it is; where a constraint is violated, that it is retried.
//!     erased.await.into()
//! }
//!
//! # async fn start(pool: PgPool, settings: MessagingSettings) -> Result<(), Box<dyn std::error::Error>> {
//! messaging::migrate(&pool.clone().into()).await?;
//! let broker = Broker::new("payment-service", &settings.rabbitmq);
//! let outbox = Outbox::new("payment-service", &settings);
//! let relay = Relay::new(pool.clone(), broker.clone(), outbox.clone(), &settings);
//! let handlers = Handlers::new(pool).on(erase);
//! let consumer = Consumer::new(broker, &settings, "payment_events", handlers)?;
//! let shutdown = CancellationToken::new();
//! tokio::try_join!(
//!     async { relay.run(shutdown.clone()).await.map_err(Box::<dyn std::error::Error>::from) },
//!     async { consumer.run(shutdown.clone()).await.map_err(Box::<dyn std::error::Error>::from) },
//! )?;
//! # Ok(())
//! # }
//! ```

pub mod settings;

pub mod outbox;

pub mod schedule;

pub mod archive;

pub mod erasure;

pub mod process_manager;

pub mod relay;

mod publisher;

pub mod direct;

pub mod broker;

pub mod topology;

pub mod consumer;

pub mod dead_letter_queue;

pub mod admin;

mod headers;
mod message;

pub mod inbox;

mod acknowledge;
mod backoff;
mod header_bound;
pub mod metrics;

pub use archive::EventArchive;
pub use broker::Broker;
pub use consumer::{Consumer, Delivery, Handlers, Verdict};
pub use dead_letter_queue::DeadLetterQueue;
pub use direct::EventPublisher;
pub use message::MessageId;
pub use outbox::{EnqueueError, Outbox};
pub use relay::Relay;
pub use settings::{
    ConsumerSettings, MessagingSettings, OutboxSettings, RabbitSettings, RelaySettings,
};

use database::{Database, DatabaseError};

/// Makes the tables of messaging, or brings them up to date, in a service's database: those of the
/// outbox, the inbox, [schedule], [archive] and [process managers](process_manager). Counted in
/// `_messaging_migrations`, apart from the service's own; those of a newer version are left alone, so
/// that a deployment can go back to this one.
pub async fn migrate(database: &Database) -> Result<(), DatabaseError> {
    database::migrate(database, sqlx::migrate!()).await
}
