//! The settings of messaging: `message_queue.tsk`.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tusk_config::Secret;

/// RabbitMQ closes the channel of a consumer that has not acknowledged for 30 minutes
/// (`consumer_timeout`); what follows a handler takes its time too.
const HELD_MAX: Duration = Duration::from_mins(25);

/// All sections of `message_queue.tsk`.
#[derive(Debug, Clone, Deserialize)]
pub struct MessagingSettings {
    /// The broker.
    pub rabbitmq: RabbitSettings,
    /// Queue names by key: `user_events` is `user-service.events`.
    pub queues: BTreeMap<String, String>,
    /// Exchange names by key: `user_exchange` is `user.events`.
    pub exchanges: BTreeMap<String, String>,
    /// How the outbox is sent.
    #[serde(default)]
    pub relay: RelaySettings,
    /// How messages are received.
    #[serde(default)]
    pub consumer: ConsumerSettings,
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

/// Section `[consumer]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Messages that the broker sends ahead of their acknowledgement, 1 to 65,535.
    pub prefetch: NonZeroU16,
    /// Messages that are handled at the same time; the rest of the prefetched ones wait.
    pub concurrency: NonZeroU16,
    /// Attempts before a message is parked; the first delivery is attempt 1.
    pub max_attempts: NonZeroU32,
    /// The longest that one attempt may take; longer is a failed attempt.
    pub handler_timeout: Duration,
    /// The pause before each further attempt; the last one is used again when attempts outnumber
    /// pauses.
    pub retry_delays: RetryDelays,
    /// How long the inbox remembers a message. Longer than any redelivery can take.
    pub inbox_retention: Duration,
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

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            prefetch: nonzero(50),
            concurrency: nonzero(10),
            max_attempts: nonzero(6).into(),
            handler_timeout: Duration::from_secs(30),
            retry_delays: RetryDelays([1, 5, 30, 120, 600].map(Duration::from_secs).to_vec()),
            inbox_retention: Duration::from_hours(7 * 24),
        }
    }
}

impl ConsumerSettings {
    /// The longest that a message is in hand: in the last of the rounds in which what is prefetched
    /// is handled, when every handler takes all of its time.
    pub fn held_max(&self) -> Duration {
        let rounds = self.prefetch.get().div_ceil(self.concurrency.get());
        self.handler_timeout.saturating_mul(rounds.into())
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let held = self.held_max();
        if held < HELD_MAX { Ok(()) } else { Err(SettingsError::HeldTooLong { held }) }
    }
}

/// The pauses before a message's further attempts: at least one, each a millisecond or more, so
/// that a failing message never comes back at once, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Duration>")]
pub struct RetryDelays(Vec<Duration>);

impl TryFrom<Vec<Duration>> for RetryDelays {
    type Error = &'static str;

    fn try_from(delays: Vec<Duration>) -> Result<Self, Self::Error> {
        if delays.is_empty() || delays.iter().any(|delay| delay.as_millis() == 0) {
            return Err("retry_delays needs at least one pause, each a millisecond or more");
        }
        Ok(Self(delays))
    }
}

impl RetryDelays {
    /// The pause after failed attempt number `attempt`, the first of which is 1.
    pub fn after(&self, attempt: u32) -> Duration {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        self.0[index.min(self.0.len() - 1)]
    }

    /// The shortest pause.
    pub fn shortest(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().copied()
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
    /// A message may be in hand for longer than the broker waits for its acknowledgement.
    #[error(
        "[consumer] holds a message for up to {held:?}: prefetch / concurrency × handler_timeout \
         must stay below {HELD_MAX:?}, after which the broker closes the channel"
    )]
    HeldTooLong {
        /// How long.
        held: Duration,
    },
}

impl MessagingSettings {
    /// The queue's name of a key in `[queues]`.
    pub fn queue(&self, key: &str) -> Result<&str, SettingsError> {
        self.queues
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| SettingsError::UnknownQueue(key.to_owned()))
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
