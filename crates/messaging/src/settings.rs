//! The settings of messaging: `message_queue.tsk`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::Secret;

mod check;
mod consumer;
mod queue;

pub use consumer::{ConsumerOverrides, ConsumerSettings, RetryDelays};
pub use queue::{QueueOverrides, QueueSettings, QueueType};

/// All sections of `message_queue.tsk`.
#[derive(Debug, Clone, Deserialize)]
pub struct MessagingSettings {
    /// The broker.
    pub rabbitmq: RabbitSettings,
    /// Queue names by key: `user_events` is `user-service.events`.
    pub queues: BTreeMap<String, String>,
    /// Exchange names by key: `user_exchange` is `user.events`.
    pub exchanges: BTreeMap<String, String>,
    /// The keys of the queues that read each event type: what publishers know of the readers. A
    /// consumer's handlers must be for the same types.
    #[serde(default)]
    pub subscriptions: BTreeMap<String, Vec<String>>,
    /// What becomes of events that were sent.
    #[serde(default)]
    pub outbox: OutboxSettings,
    /// How the outbox is sent.
    #[serde(default)]
    pub relay: RelaySettings,
    /// How messages are received.
    #[serde(default)]
    pub consumer: ConsumerSettings,
    /// What the consumer of one queue does otherwise, by the queue's key.
    #[serde(default, rename = "consumer:*")]
    pub consumers: BTreeMap<String, ConsumerOverrides>,
    /// What queues are like.
    #[serde(default)]
    pub queue: QueueSettings,
    /// What one queue is like otherwise, by its key.
    #[serde(default, rename = "queue:*")]
    pub queue_overrides: BTreeMap<String, QueueOverrides>,
}

/// Section `[rabbitmq]`.
#[derive(Debug, Clone, Deserialize)]
pub struct RabbitSettings {
    /// The broker's host.
    pub host: String,
    /// The broker's AMQP port.
    pub port: u16,
    /// The user to log in as.
    pub username: String,
    /// Their password.
    pub password: Secret<String>,
    /// The virtual host.
    pub vhost: String,
    /// Whether to speak AMQP over TLS (`amqps`, usually port 5671). The broker's certificate must
    /// be of a public authority, or of `tls_ca`.
    #[serde(default)]
    pub tls: bool,
    /// A file with the certificates (PEM) of the authorities to trust besides the public ones; none
    /// when empty.
    #[serde(default)]
    pub tls_ca: PathBuf,
    /// How often both sides show that they live, in whole seconds; two missed beats end a
    /// connection. Bounds how long a cut network goes unnoticed.
    #[serde(default = "heartbeat")]
    pub heartbeat: Duration,
    /// The longest that opening a connection or a channel may take.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
}

/// Section `[outbox]`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct OutboxSettings {
    /// For how long events that were sent are kept in the [archive](crate::archive); 0, the default,
    /// for not at all, because they may hold personal data.
    pub archive: Duration,
}

impl OutboxSettings {
    /// Whether events that were sent are kept.
    pub fn is_archiving(self) -> bool {
        !self.archive.is_zero()
    }
}

/// Section `[relay]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct RelaySettings {
    /// Rows that are claimed, published and deleted together, 1 to 65,535.
    pub batch_size: NonZeroU16,
    /// The longest that a committed row waits for a relay that nobody woke.
    pub poll_interval: Duration,
    /// The longest wait for the broker's confirms of a batch. After it the outcome is unknown: the
    /// rows stay and are sent again under the same message ids.
    pub confirm_timeout: Duration,
    /// The largest message, in bytes of its body; a larger one is refused when it is enqueued.
    /// RabbitMQ 4 takes 16 MiB by default.
    pub message_bytes_max: usize,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            batch_size: nonzero(500),
            poll_interval: Duration::from_millis(500),
            confirm_timeout: Duration::from_secs(10),
            message_bytes_max: 1024 * 1024,
        }
    }
}

/// A name that `message_queue.tsk` does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A queue's key.
    #[error("[queues] has no `{0}`; add it to message_queue.tsk")]
    UnknownQueue(String),
    /// An exchange's key.
    #[error("[exchanges] has no `{0}`; add it to message_queue.tsk")]
    UnknownExchange(String),
    /// A section about one queue.
    #[error("[{section}:{key}] is about no queue: [queues] has no `{key}`")]
    SectionOfNoQueue {
        /// `consumer` or `queue`.
        section: &'static str,
        /// The key.
        key: String,
    },
    /// A message that comes back from its delay to a full queue would be gone.
    #[error(
        "the queue of `{key}` is classic and has a limit: the broker drops what returns to it for \
         another attempt while it is full; make it a quorum queue, or take the limit away"
    )]
    ClassicWithLimit {
        /// The queue's key.
        key: String,
    },
    /// A handler takes more messages together than the broker sends ahead.
    #[error(
        "a handler of `{key}` takes {batch} messages together, and its prefetch is {prefetch}: a \
         batch would never be full, and wait for others in vain"
    )]
    BatchOverPrefetch {
        /// The queue's key.
        key: String,
        /// The largest batch.
        batch: usize,
        /// The prefetch.
        prefetch: u16,
    },
    /// A message may be in hand for longer than the broker waits for its acknowledgement.
    #[error(
        "the consumer of `{key}` holds a message for up to {held:?}: prefetch / concurrency × \
         handler_timeout, twice that with batches, must stay below unacked_max, {unacked_max:?}"
    )]
    HeldTooLong {
        /// The queue's key.
        key: String,
        /// How long.
        held: Duration,
        /// How long it may be.
        unacked_max: Duration,
    },
    /// An ordered consumer, which tries a message again in its place, has too little time for it.
    #[error(
        "the ordered consumer of `{key}` has a message in hand for all of its attempts, which take \
         up to {takes:?}: retry_delays and max_attempts × handler_timeout, with one handler_timeout \
         to spare, must stay below unacked_max, {unacked_max:?}"
    )]
    AttemptsTakeTooLong {
        /// The queue's key.
        key: String,
        /// How long all attempts take.
        takes: Duration,
        /// How long they may take, with one more `handler_timeout`.
        unacked_max: Duration,
    },
}

impl MessagingSettings {
    /// What holds for the consumer of the queue of this key: `[consumer]`, and over it
    /// `[consumer:<key>]`.
    pub fn consumer_of(&self, key: &str) -> Result<ConsumerSettings, SettingsError> {
        self.knows("consumer", self.consumers.keys())?;
        let settings = match self.consumers.get(key) {
            Some(overrides) => self.consumer.with(overrides),
            None => self.consumer.clone(),
        };
        settings.check_held(key, 1)?;
        Ok(settings)
    }

    /// What the queue of this key is like: `[queue]`, and over it `[queue:<key>]`.
    pub fn queue_settings_of(&self, key: &str) -> Result<QueueSettings, SettingsError> {
        self.knows("queue", self.queue_overrides.keys())?;
        let settings = match self.queue_overrides.get(key) {
            Some(overrides) => self.queue.with(overrides),
            None => self.queue.clone(),
        };
        if settings.may_drop() {
            return Err(SettingsError::ClassicWithLimit { key: key.to_owned() });
        }
        Ok(settings)
    }

    fn knows<'a>(
        &self,
        section: &'static str,
        mut keys: impl Iterator<Item = &'a String>,
    ) -> Result<(), SettingsError> {
        match keys.find(|key| !self.queues.contains_key(*key)) {
            Some(key) => Err(SettingsError::SectionOfNoQueue { section, key: key.clone() }),
            None => Ok(()),
        }
    }

    /// The queue's name of a key in `[queues]`.
    pub fn queue(&self, key: &str) -> Result<&str, SettingsError> {
        self.queues
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| SettingsError::UnknownQueue(key.to_owned()))
    }

    /// The services that read an event, by `[subscriptions]`. A service's queue is called `<service>.events`;
    /// of one that is called otherwise it is the queue's own name.
    pub fn readers_of(&self, event_type: &str) -> BTreeSet<String> {
        let keys = self.subscriptions.get(event_type).into_iter().flatten();
        let queues = keys.filter_map(|key| self.queues.get(key));
        queues.map(|queue| queue.strip_suffix(".events").unwrap_or(queue).to_owned()).collect()
    }

    /// The exchange's name of a key in `[exchanges]`.
    pub fn exchange(&self, key: &str) -> Result<&str, SettingsError> {
        self.exchanges
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| SettingsError::UnknownExchange(key.to_owned()))
    }
}

const fn heartbeat() -> Duration {
    Duration::from_secs(10)
}

const fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

const fn nonzero(default: u16) -> NonZeroU16 {
    match NonZeroU16::new(default) {
        Some(number) => number,
        None => NonZeroU16::MIN,
    }
}
