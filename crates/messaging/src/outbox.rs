//! The outbox: an event becomes a row of the transaction that made it happen.
//!
//! Writing the change and publishing the event are two systems; whichever is done first can be the
//! only one done. So the event is written with the change, in one transaction, and the
//! [relay](crate::relay) publishes what was committed.
//!
//! **Order.** Events of one aggregate are published in the order of their commits, *if* the writer
//! holds the aggregate's row lock (it inserted the row, updated it, or read it `for update`) when
//! it enqueues: the row's id is drawn under that lock. Between aggregates there is no order.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{Envelope, Event, EventId, FieldFault};
use sqlx::PgConnection;
use tokio::sync::Notify;
use tracing::Instrument;
use uuid::Uuid;

use crate::message;
use crate::settings::MessagingSettings;

/// In how many parts the outbox is leased to relays, by hash of the aggregate id. More relays than
/// this have nothing to do; the number is fixed in the table.
pub const PARTITIONS: i16 = 8;

/// Why an event was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// Larger than `[relay] message_bytes_max`: refused here, where the caller can still say no,
    /// not at the broker, where it would stay for ever.
    #[error("event {event_type} takes {bytes} bytes, the limit is {bytes_max}; send a reference")]
    TooLarge {
        /// The event's type.
        event_type: &'static str,
        /// What its envelope takes.
        bytes: usize,
        /// What it may take.
        bytes_max: usize,
    },
    /// A field is out of its bounds: no reader would take the event.
    #[error("event {event_type}: {fault}")]
    Field {
        /// The event's type.
        event_type: &'static str,
        /// Which field, and what is wrong with it.
        fault: FieldFault,
    },
    /// `[exchanges]` has no such key.
    #[error("[exchanges] has no `{0}`; add it to message_queue.tsk")]
    UnknownExchange(&'static str),
    /// The event is no JSON.
    #[error("event {event_type} cannot be written as JSON")]
    Encode {
        /// The event's type.
        event_type: &'static str,
        /// What the encoder says.
        source: serde_json::Error,
    },
    /// The row was not written.
    #[error("the outbox row could not be written")]
    Database(#[from] sqlx::Error),
}

/// Writes events beside the change that made them happen. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The publisher's name in every envelope.
    service: String,
    /// Exchange names by their key in `[exchanges]`.
    exchanges: BTreeMap<String, String>,
    /// The largest envelope.
    bytes_max: usize,
    /// Says that rows were committed; holds one signal for a relay that is busy.
    committed: Notify,
}

impl Outbox {
    /// An outbox of `service`, named as in `services.tsk`.
    pub fn new(service: &str, settings: &MessagingSettings) -> Self {
        Self(Arc::new(Shared {
            service: service.to_owned(),
            exchanges: settings.exchanges.clone(),
            bytes_max: settings.relay.message_bytes_max,
            committed: Notify::new(),
        }))
    }

    /// Writes `event` into the caller's transaction; it is sent once that commits.
    ///
    /// Call it while holding the aggregate's row lock (see the [module](self)), and
    /// [`Outbox::wake`] after the commit.
    pub async fn enqueue<E: Event>(
        &self,
        tx: &mut PgConnection,
        event_id: Uuid,
        occurred_at: DateTime<Utc>,
        event: &E,
    ) -> Result<(), EnqueueError> {
        let row = self.row(event_id, occurred_at, event, message::now())?;
        self.write(tx, &row).await?;
        Ok(())
    }

    /// Writes a row, in a span of its own.
    pub(crate) async fn write(
        &self,
        tx: &mut PgConnection,
        row: &Row<'_>,
    ) -> Result<(), sqlx::Error> {
        let exchange = row.exchange;
        let event_type = row.event_type;
        let span = tracing::info_span!(
            "create",
            otel.name = format!("create {exchange}"),
            otel.kind = "producer",
            messaging.system = "rabbitmq",
            messaging.operation.name = "create",
            messaging.operation.type = "create",
            messaging.destination.name = %format_args!("{exchange}:{event_type}"),
            messaging.rabbitmq.destination.routing_key = event_type,
            messaging.message.id = %row.event_id,
            messaging.message.body.size = row.body.len(),
        );
        insert(tx, row).instrument(span).await
    }

    /// Tells the relay of this process that rows were committed. Without it they wait for the next
    /// poll, at most `[relay] poll_interval`.
    pub fn wake(&self) {
        self.0.committed.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.0.committed.notified().await;
    }

    pub(crate) fn service(&self) -> &str {
        &self.0.service
    }

    /// The row of an event: checked, encoded, of a size that the broker takes. `now` is what its time
    /// is checked against.
    pub(crate) fn row<E: Event>(
        &self,
        event_id: Uuid,
        timestamp: DateTime<Utc>,
        event: &E,
        now: DateTime<Utc>,
    ) -> Result<Row<'_>, EnqueueError> {
        let exchange =
            self.0.exchanges.get(E::EXCHANGE).ok_or(EnqueueError::UnknownExchange(E::EXCHANGE))?;
        let envelope = Envelope {
            event_type: E::TYPE.to_owned(),
            data: event,
            timestamp,
            service: self.0.service.clone(),
            event_id: Some(EventId::from_uuid(event_id)),
            version: E::VERSION,
        };
        let checked = event.check().and_then(|()| envelope.check(now));
        checked.map_err(|fault| EnqueueError::Field { event_type: E::TYPE, fault })?;
        let body = serde_json::to_vec(&envelope)
            .map_err(|source| EnqueueError::Encode { event_type: E::TYPE, source })?;
        let bytes = body.len();
        let bytes_max = self.0.bytes_max;
        if bytes > bytes_max {
            return Err(EnqueueError::TooLarge { event_type: E::TYPE, bytes, bytes_max });
        }
        let aggregate_id = event.aggregate_id();
        Ok(Row {
            event_id,
            aggregate_id,
            partition: partition_of(aggregate_id),
            exchange,
            event_type: E::TYPE,
            body,
            mandatory: E::MANDATORY,
        })
    }
}

/// An event as it is written.
pub(crate) struct Row<'a> {
    pub(crate) event_id: Uuid,
    pub(crate) aggregate_id: Uuid,
    pub(crate) partition: i16,
    pub(crate) exchange: &'a str,
    pub(crate) event_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) mandatory: bool,
}

async fn insert(tx: &mut PgConnection, row: &Row<'_>) -> Result<(), sqlx::Error> {
    // The transaction has its number before the row's id is drawn: by it a relay knows that rows with
    // such ids may still be committed (`relay::floor`).
    sqlx::query!(
        "with numbered as materialized (select pg_current_xact_id())
         insert into messaging_outbox
             (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory,
              traceparent)
         select $1, $2, $3, $4, $5, $6, $7, $8 from numbered",
        row.event_id,
        row.aggregate_id,
        row.partition,
        row.exchange,
        row.event_type,
        row.body,
        row.mandatory,
        telemetry::propagation::current_traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The partition of an aggregate: FNV-1a over the id's bytes, because the first bytes of a `UUIDv7`
/// are a clock and ids of other makers may be anything.
fn partition_of(aggregate_id: Uuid) -> i16 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in aggregate_id.as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The low bits of FNV are its weakest: fold the high half in. The remainder is below 8.
    let folded = hash ^ (hash >> 32);
    i16::try_from(folded % u64::from(PARTITIONS.unsigned_abs())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{PARTITIONS, partition_of};
    use uuid::Uuid;

    #[test]
    fn aggregates_of_one_moment_are_spread_over_all_partitions() {
        let mut seen = [0_u32; PARTITIONS as usize];
        for number in 0..8_000_u128 {
            // Ids that differ in their last bytes alone, as a burst of one millisecond does.
            let id = Uuid::from_u128((0x0197_c1f0_5c00_7000_u128 << 64) | number);
            seen[usize::try_from(partition_of(id)).unwrap_or(usize::MAX)] += 1;
        }
        assert!(seen.iter().all(|count| (600..1_400).contains(count)), "{seen:?}");
    }
}
