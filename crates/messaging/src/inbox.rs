//! The inbox: a message that is delivered twice has one effect.
//!
//! The broker delivers at least once, and the relay sends at least once. A handler claims the
//! message in the transaction of its effect:
//!
//! ```text
//!   begin
//!     delivery.claim(&mut tx)    false: seen before, so ack and do nothing
//!     the effect, and the events it makes happen
//!   commit, then ack
//! ```
//!
//! Two deliveries at the same moment meet in the primary key: the second claim waits for the first
//! transaction, and is false when that commits, true when it rolls back.
//!
//! A [batch](crate::Handlers::on_batch) does the same with [`claim_all`]: one transaction, and one
//! statement that claims.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use database::{Database, drain};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::archive;
use crate::consumer::Delivery;
use crate::message::MessageId;
use crate::metrics;
use crate::process_manager;
use crate::settings::{MessagingSettings, OutboxSettings};

/// How often rows that are too old are looked for.
const PURGE_INTERVAL: Duration = Duration::from_mins(10);

/// What a message is claimed by: the consumer, by its queue's name, and the message. From
/// [`Delivery::inbox_key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxKey {
    consumer: Arc<str>,
    message_id: MessageId,
}

impl InboxKey {
    /// The key of a message for the consumer of this queue. A handler has it from its delivery.
    pub fn new(queue: impl Into<Arc<str>>, message_id: MessageId) -> Self {
        Self { consumer: queue.into(), message_id }
    }

    /// The message.
    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Claims the message in the transaction of its effect.
    ///
    /// True: it is new, do the work. False: its effect is there already, or was found not to be
    /// needed.
    pub async fn claim(&self, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let claimed = sqlx::query!(
            "insert into messaging_inbox (consumer, message_id) values ($1, $2) on conflict do nothing",
            &*self.consumer,
            self.message_id.as_str(),
        )
        .execute(tx)
        .await?;
        let is_new = claimed.rows_affected() == 1;
        if !is_new {
            metrics::duplicates(&self.consumer, 1);
        }
        Ok(is_new)
    }
}

/// Claims the messages of a batch in the transaction of their effects; gives the deliveries that are
/// new, in their order, and of one message the first. All are of one consumer.
///
/// Batches that meet claim in one order, so that they wait for each other, but no two for ever.
pub async fn claim_all<D>(
    tx: &mut PgConnection,
    mut deliveries: Vec<Delivery<D>>,
) -> Result<Vec<Delivery<D>>, sqlx::Error> {
    let Some(consumer) = deliveries.first().map(|delivery| Arc::clone(&delivery.queue)) else {
        return Ok(deliveries);
    };
    let message_ids: Vec<String> =
        deliveries.iter().map(|delivery| delivery.message_id.to_string()).collect();
    let claimed = sqlx::query_scalar!(
        "insert into messaging_inbox (consumer, message_id)
         select $1, message_id from unnest($2::text[]) as message_id order by message_id
         on conflict do nothing
         returning message_id",
        &*consumer,
        &message_ids,
    );
    let mut new: HashSet<String> = claimed.fetch_all(tx).await?.into_iter().collect();
    deliveries.retain(|delivery| new.remove(delivery.message_id.as_str()));
    metrics::duplicates(&consumer, message_ids.len() - deliveries.len());
    Ok(deliveries)
}

/// Forgets messages that were received longer ago than `older_than`; says how many.
pub async fn purge(database: &Database, older_than: Duration) -> Result<u64, sqlx::Error> {
    drain(&CancellationToken::new(), async |limit| {
        let purged = sqlx::query!(
            "with picked as materialized (
                 select consumer, message_id from messaging_inbox
                 where received_at < now() - make_interval(secs => $1)
                 order by received_at
                 limit $2
                 for update skip locked
             )
             delete from messaging_inbox inbox using picked
             where inbox.consumer = picked.consumer and inbox.message_id = picked.message_id",
            older_than.as_secs_f64(),
            limit,
        );
        Ok(purged.execute(database).await?.rows_affected())
    })
    .await
}

/// Keeps the inbox, the [archive] and ended [processes](crate::process_manager) from growing for
/// ever.
#[derive(Debug, Clone)]
pub struct Cleaner {
    database: Database,
    retention: Duration,
    outbox: OutboxSettings,
}

impl Cleaner {
    /// A cleaner of this database, with `[consumer] inbox_retention` and `[outbox] archive`.
    pub fn new(database: impl Into<Database>, settings: &MessagingSettings) -> Self {
        let retention = settings.consumer.inbox_retention;
        Self { database: database.into(), retention, outbox: settings.outbox }
    }

    /// Purges every ten minutes until `shutdown`. A round that fails is logged, not returned: the
    /// next one deletes what it left, and a database that is away for a while ends no service.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        loop {
            let Some(purged) = shutdown.run_until_cancelled(self.purge()).await else {
                return Ok(());
            };
            match purged {
                Ok(rows) => tracing::debug!(messaging.rows = rows, "old rows were deleted"),
                Err(error) => tracing::warn!(error = %error, "old rows could not be deleted"),
            }
            let delay = tokio::time::sleep(PURGE_INTERVAL);
            if shutdown.run_until_cancelled(delay).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn purge(&self) -> Result<u64, sqlx::Error> {
        let of_inbox = purge(&self.database, self.retention).await?;
        let of_archive = archive::purge(&self.database, &self.outbox).await?;
        let processes = process_manager::purge(&self.database, self.retention).await?;
        let erasures = archive::forget_erased(&self.database, self.retention).await?;
        Ok(of_inbox + of_archive + processes + erasures)
    }
}
