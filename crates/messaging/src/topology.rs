//! Exchanges and queues: what must be there before anything is sent or received.
//!
//! ```text
//!   <exchange> ── event type ──▶ <queue> ───────────── handler ──▶ done
//!                                 ▲   └─ after 50 crashes ──┐ │
//!                     after <ms>  │                         │ │ given up on
//!                         <queue>.retry.<ms> ◀── failed ────┼─┤
//!                                                           ▼ ▼
//!                                                     <queue>.dead-letters
//! ```
//!
//! Every declaration is idempotent, and repeated: by the consumer when it subscribes and every ten
//! seconds (`watch`), by a publisher before it publishes (`readers`). What somebody deleted is
//! made anew. What is there with other arguments is used as it is, and told (`drift`).
//! Queues are quorum queues, whose messages survive a node, unless `[queue]` says otherwise;
//! arguments are those that RabbitMQ 3.10 and 4 both know. A consumer's bindings come from its
//! handlers, and `[subscriptions]` must say the same: it is what publishers know of the readers.

mod drift;
mod readers;
mod watch;

use std::future::Future;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use tokio::time::timeout;

pub(crate) use readers::Readers;
pub(crate) use watch::watch;

use drift::Drifts;

use crate::broker::Attachment;
use crate::metrics;
use crate::settings::{MessagingSettings, QueueSettings, QueueType, RetryDelays, SettingsError};

/// The longest wait for one answer of the broker. The channel is of no use after that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A dead letter is looked at and put back by people; that must never use it up.
const DEAD_LETTER_DELIVERY_LIMIT: i64 = 1_000_000;

/// Queues with other arguments that are met in a row before somebody gives up: each costs a channel.
pub(crate) const DRIFTS_MAX: u32 = 32;

/// Why the topology is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// It is there under this name with other arguments.
    #[error("{name} exists with other arguments: {text}")]
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
    #[error("{name}: {source}")]
    Broker {
        /// The exchange or queue.
        name: String,
        /// What happened.
        source: lapin::Error,
    },
}

impl TopologyError {
    pub(crate) const fn is_drift(&self) -> bool {
        matches!(self, Self::Drift { .. })
    }
}

/// The queue that holds a message for `delay` before it returns to `queue`.
pub fn retry_queue(queue: &str, delay: Duration) -> String {
    format!("{queue}.retry.{}", delay.as_millis())
}

/// The queue of the messages that `queue`'s consumer gave up on.
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead-letters")
}

/// What one consumer stands on.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    pub(crate) queue: String,
    /// Exchange and routing key of each event type that is handled.
    pub(crate) bindings: Vec<(String, &'static str)>,
    pub(crate) retry_delays: RetryDelays,
    pub(crate) like: QueueSettings,
    drifts: Drifts,
}

impl Topology {
    /// That of the queue of this key, bound to `events`: each an exchange's key and an event type.
    pub(crate) fn of(
        settings: &MessagingSettings,
        queue_key: &str,
        events: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Result<Self, SettingsError> {
        let bind = |(exchange, key)| Ok((settings.exchange(exchange)?.to_owned(), key));
        Ok(Self {
            queue: settings.queue(queue_key)?.to_owned(),
            bindings: events.into_iter().map(bind).collect::<Result<_, _>>()?,
            retry_delays: settings.consumer_of(queue_key)?.retry_delays,
            like: settings.queue_settings_of(queue_key)?,
            drifts: Drifts::default(),
        })
    }

    /// Declares exchanges, queues and bindings, in the order in which they refer to each other. After
    /// an error the channel is closed; a queue that was found to have other arguments is used as it
    /// is the next time.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), TopologyError> {
        self.declare_queues(channel).await?;
        for (exchange, key) in &self.bindings {
            self.declare_exchange(channel, exchange).await?;
            bind(channel, &self.queue, exchange, key).await?;
        }
        metrics::drift(&self.queue, self.drifts.contains(&self.queue));
        Ok(())
    }

    /// [`declare`](Self::declare), where what was found to differ is asked once more whether it does.
    /// On channels of its own: the client library remembers on each what was declared; gives the last.
    async fn declare_again(&self, connection: &Attachment) -> Result<Channel, TopologyError> {
        self.drifts.ask_again();
        for attempt in 1.. {
            let channel = connection.channel().await;
            match self.declare(&channel).await {
                Err(drift) if drift.is_drift() && attempt < DRIFTS_MAX => {}
                declared => {
                    declared?;
                    self.drifts.settle();
                    return Ok(channel);
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Declares the queue, and those that its messages move to.
    async fn declare_queues(&self, channel: &Channel) -> Result<(), TopologyError> {
        self.declare_error_queues(channel).await?;
        let limit = self.like.delivery_limit.get().into();
        let mut arguments = self.dead_letters_to(&dead_letter_queue(&self.queue));
        self.limit_deliveries(&mut arguments, limit);
        limit_size(&mut arguments, self.like.max_length, self.like.max_length_bytes);
        if self.like.single_active_consumer {
            set(&mut arguments, "x-single-active-consumer", AMQPValue::Boolean(true));
        }
        self.declare_queue(channel, &self.queue, arguments).await
    }

    /// [`declare_error_queues`](Self::declare_error_queues), on as many channels as it takes.
    pub(crate) async fn declare_error_queues_over(
        &self,
        connection: &Attachment,
    ) -> Result<(), TopologyError> {
        for attempt in 1.. {
            let channel = connection.channel().await;
            match self.declare_error_queues(&channel).await {
                Err(drift) if drift.is_drift() && attempt < DRIFTS_MAX => {}
                declared => return declared,
            }
        }
        Ok(())
    }

    /// Declares where messages go that are not done with: the retry queues and the dead-letter queue.
    ///
    /// Both are bounded: a flood of poison messages must not fill the disk that all publishers share. A
    /// full one refuses; the consumer, and the broker where it moves messages itself, keep what was
    /// refused and try again. A queue and its retry queues would wait for each other, so that only one
    /// of them has a bound.
    pub(crate) async fn declare_error_queues(
        &self,
        channel: &Channel,
    ) -> Result<(), TopologyError> {
        let like = &self.like;
        let mut arguments = self.kind();
        self.limit_deliveries(&mut arguments, DEAD_LETTER_DELIVERY_LIMIT);
        set(&mut arguments, "x-overflow", AMQPValue::LongString("reject-publish".into()));
        let bytes = like.dead_letter_max_length_bytes;
        limit_size(&mut arguments, like.dead_letter_max_length, bytes);
        self.declare_queue(channel, &dead_letter_queue(&self.queue), arguments).await?;
        for delay in self.retry_delays.iter() {
            let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            let mut arguments = self.dead_letters_to(&self.queue);
            set(&mut arguments, "x-message-ttl", AMQPValue::LongLongInt(millis));
            if !like.is_limited() {
                limit_size(&mut arguments, like.retry_max_length, like.retry_max_length_bytes);
            }
            self.declare_queue(channel, &retry_queue(&self.queue, delay), arguments).await?;
        }
        Ok(())
    }

    /// Declares a queue that survives a restart; one that is known to have other arguments must only
    /// be there.
    async fn declare_queue(
        &self,
        channel: &Channel,
        name: &str,
        arguments: FieldTable,
    ) -> Result<(), TopologyError> {
        if self.drifts.contains(name) {
            let found = message_count(channel, name).await;
            return found.map(drop).inspect_err(|_| self.drifts.forget(name));
        }
        let options = QueueDeclareOptions::durable();
        let declared = answered(name, channel.queue_declare(name.into(), options, arguments)).await;
        if let Err(TopologyError::Drift { name, text }) = &declared {
            self.drifts.note(name, text);
        }
        declared.map(drop)
    }

    /// Declares an exchange; one that is known to be of another kind must only be there.
    async fn declare_exchange(&self, channel: &Channel, name: &str) -> Result<(), TopologyError> {
        if self.drifts.contains(name) {
            let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
            let kind = ExchangeKind::Topic;
            let asking =
                channel.exchange_declare(name.into(), kind, options, FieldTable::default());
            return answered(name, asking).await.inspect_err(|_| self.drifts.forget(name));
        }
        let declared = declare_exchange(channel, name).await;
        if let Err(TopologyError::Drift { name, text }) = &declared {
            self.drifts.note(name, text);
        }
        declared
    }

    fn kind(&self) -> FieldTable {
        let kind = match self.like.queue_type {
            QueueType::Quorum => "quorum",
            QueueType::Classic => "classic",
        };
        let mut arguments = FieldTable::default();
        set(&mut arguments, "x-queue-type", AMQPValue::LongString(kind.into()));
        arguments
    }

    /// Of a queue whose messages leave it for another one, through the default exchange; from a
    /// quorum queue only once that one has confirmed them. The broker asks for `reject-publish` with
    /// it.
    fn dead_letters_to(&self, queue: &str) -> FieldTable {
        let mut arguments = self.kind();
        let mut text =
            |name, value: &str| set(&mut arguments, name, AMQPValue::LongString(value.into()));
        text("x-dead-letter-exchange", "");
        text("x-dead-letter-routing-key", queue);
        text("x-overflow", "reject-publish");
        if self.like.queue_type == QueueType::Quorum {
            text("x-dead-letter-strategy", "at-least-once");
        }
        arguments
    }

    /// A classic queue knows no such limit, and refuses the argument.
    fn limit_deliveries(&self, arguments: &mut FieldTable, limit: i64) {
        if self.like.queue_type == QueueType::Quorum {
            set(arguments, "x-delivery-limit", AMQPValue::LongLongInt(limit));
        }
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

/// Binds a queue to an exchange, and waits for the answer.
async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    routing_key: &str,
) -> Result<(), TopologyError> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    let exchange = exchange.into();
    let key = routing_key.into();
    answered(queue, channel.queue_bind(queue.into(), exchange, key, options, arguments)).await
}

/// Messages and bytes that a queue takes at most; 0 is no limit.
fn limit_size(arguments: &mut FieldTable, length: u32, bytes: u64) {
    for (name, max) in [("x-max-length", u64::from(length)), ("x-max-length-bytes", bytes)] {
        if max > 0 {
            let max = i64::try_from(max).unwrap_or(i64::MAX);
            set(arguments, name, AMQPValue::LongLongInt(max));
        }
    }
}

fn set(arguments: &mut FieldTable, name: &str, value: AMQPValue) {
    arguments.insert(name.into(), value);
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
