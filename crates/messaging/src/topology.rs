//! Exchanges and queues: what must be there before anything is sent or received.
//!
//! ```text
//!   <exchange> ── event type ──▶ <queue> ───────────── handler ──▶ done
//!                                 ▲   └─ after 50 crashes ──┐ │
//!                     after <ms>  │                         │ │ given up on
//!                         <queue>.retry.<ms> ◀── failed ────┼─┤
//!                                                           ▼ ▼
//!                                                     <queue>.parked
//! ```
//!
//! Every declaration is idempotent; another set of arguments under the same name is a fatal error,
//! because silently using the other queue would lose its promises. All queues are quorum queues,
//! whose messages survive a node; arguments are those that RabbitMQ 3.10 and 4 both know.

use std::future::Future;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use tokio::time::timeout;

use crate::settings::RetryDelays;

/// Deliveries of one message that ended without an answer before the broker parks it: a net under
/// a handler that takes the process down. Attempts are counted by the consumer itself.
const DELIVERY_LIMIT: i64 = 50;
/// The longest wait for one answer of the broker. The channel is of no use after that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A parked message is looked at and put back by people; that must never use it up.
const PARKED_DELIVERY_LIMIT: i64 = 1_000_000;

/// Why the topology is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// It is there under this name with other arguments.
    #[error(
        "{name} exists with other arguments; delete it once it is empty, or rename ours: {text}"
    )]
    Drift {
        /// The exchange or queue.
        name: String,
        /// What the broker says.
        text: String,
    },
    /// The broker did not answer: a quorum queue without a leader leaves a declaration waiting, for
    /// ever when its node was killed as the queue was made.
    #[error("{name}: the broker gave no answer")]
    Silent {
        /// The exchange or queue.
        name: String,
    },
    /// The broker did not do it.
    #[error("{name} could not be declared")]
    Broker {
        /// The exchange or queue.
        name: String,
        /// What happened.
        source: lapin::Error,
    },
}

/// The queue that holds a message for `delay` before it returns to `queue`.
pub fn retry_queue(queue: &str, delay: Duration) -> String {
    format!("{queue}.retry.{}", delay.as_millis())
}

/// The queue of the messages that `queue`'s consumer gave up on.
pub fn parked_queue(queue: &str) -> String {
    format!("{queue}.parked")
}

/// What one consumer stands on.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) queue: String,
    /// Exchange and routing key of each event type that is handled.
    pub(crate) bindings: Vec<(String, &'static str)>,
    pub(crate) retry_delays: RetryDelays,
}

impl Topology {
    /// Declares exchanges, queues and bindings, in the order in which they refer to each other.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), TopologyError> {
        self.declare_outlets(channel).await?;
        let parked = parked_queue(&self.queue);
        let limits = [("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT))];
        declare_queue(channel, &self.queue, with(dead_letters_to(&parked), limits)).await?;
        for (exchange, key) in &self.bindings {
            declare_exchange(channel, exchange).await?;
            let binding = channel.queue_bind(
                self.queue.as_str().into(),
                exchange.as_str().into(),
                (*key).into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            answered(&self.queue, binding).await?;
        }
        Ok(())
    }

    /// Declares where messages go that are not done with: the retry queues and the parking lot.
    pub(crate) async fn declare_outlets(&self, channel: &Channel) -> Result<(), TopologyError> {
        let limit = [("x-delivery-limit", AMQPValue::LongLongInt(PARKED_DELIVERY_LIMIT))];
        declare_queue(channel, &parked_queue(&self.queue), with(quorum(), limit)).await?;
        for delay in self.retry_delays.iter() {
            let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            let ttl = [("x-message-ttl", AMQPValue::LongLongInt(millis))];
            let arguments = with(dead_letters_to(&self.queue), ttl);
            declare_queue(channel, &retry_queue(&self.queue, delay), arguments).await?;
        }
        Ok(())
    }
}

/// Declares a topic exchange that survives a restart.
pub(crate) async fn declare_exchange(channel: &Channel, name: &str) -> Result<(), TopologyError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declaring =
        channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default());
    answered(name, declaring).await
}

/// Waits for the broker's answer to something that is about `name`, but not for ever.
pub(crate) async fn answered<T>(
    name: &str,
    asking: impl Future<Output = lapin::Result<T>>,
) -> Result<T, TopologyError> {
    match timeout(ANSWER_TIMEOUT, asking).await {
        Ok(answer) => answer.map_err(|source| refused(name, source)),
        Err(_) => Err(TopologyError::Silent { name: name.to_owned() }),
    }
}

/// Messages that wait in a queue; an error, over which the broker closes the channel, when it is not
/// there.
pub(crate) async fn message_count(channel: &Channel, queue: &str) -> Result<u32, TopologyError> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asking = channel.queue_declare(queue.into(), passive, FieldTable::default());
    answered(queue, asking).await.map(|found| found.message_count())
}

async fn declare_queue(
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
) -> Result<(), TopologyError> {
    let declaring = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
    answered(name, declaring).await.map(drop)
}

fn quorum() -> FieldTable {
    with(FieldTable::default(), [("x-queue-type", AMQPValue::LongString("quorum".into()))])
}

/// A queue whose messages leave it for another one, through the default exchange, and only once
/// that one has confirmed them. The broker asks for `reject-publish` with it.
fn dead_letters_to(queue: &str) -> FieldTable {
    with(
        quorum(),
        [
            ("x-dead-letter-exchange", AMQPValue::LongString("".into())),
            ("x-dead-letter-routing-key", AMQPValue::LongString(queue.into())),
            ("x-dead-letter-strategy", AMQPValue::LongString("at-least-once".into())),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ],
    )
}

fn with<const N: usize>(mut table: FieldTable, more: [(&str, AMQPValue); N]) -> FieldTable {
    for (name, value) in more {
        table.insert(name.into(), value);
    }
    table
}

fn refused(name: &str, source: lapin::Error) -> TopologyError {
    let name = name.to_owned();
    let drift = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
    match source.kind() {
        ErrorKind::ProtocolError(error) if *error.kind() == drift => {
            TopologyError::Drift { name, text: error.get_message().to_string() }
        }
        _ => TopologyError::Broker { name, source },
    }
}
