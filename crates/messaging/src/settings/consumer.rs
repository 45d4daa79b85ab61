//! `[consumer]` and `[consumer:<queue's key>]`: how messages are received.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::Deserialize;

use super::{SettingsError, nonzero};

/// RabbitMQ closes the channel of a consumer that has not acknowledged for 30 minutes
/// (`consumer_timeout`); what follows a handler takes its time too.
pub(super) const HELD_MAX: Duration = Duration::from_mins(25);

/// Section `[consumer]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Messages that the broker sends ahead of their acknowledgement, 1 to 65,535.
    pub prefetch: NonZeroU16,
    /// Messages that are handled at the same time; the rest of the prefetched ones wait.
    pub concurrency: NonZeroU16,
    /// Attempts before a message is dead-lettered; the first delivery is attempt 1.
    pub max_attempts: NonZeroU32,
    /// The longest that one attempt may take; longer is a failed attempt.
    pub handler_timeout: Duration,
    /// The pause before each further attempt; the last one is used again when attempts outnumber
    /// pauses.
    pub retry_delays: RetryDelays,
    /// How long the inbox remembers a message. Longer than any redelivery can take.
    pub inbox_retention: Duration,
}

/// Section `[consumer:<queue's key>]`: what is left out is as in `[consumer]`. The inbox is one for
/// all consumers of a service, and so is its retention.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ConsumerOverrides {
    /// Instead of [`ConsumerSettings::prefetch`].
    pub prefetch: Option<NonZeroU16>,
    /// Instead of [`ConsumerSettings::concurrency`].
    pub concurrency: Option<NonZeroU16>,
    /// Instead of [`ConsumerSettings::max_attempts`].
    pub max_attempts: Option<NonZeroU32>,
    /// Instead of [`ConsumerSettings::handler_timeout`].
    pub handler_timeout: Option<Duration>,
    /// Instead of [`ConsumerSettings::retry_delays`].
    pub retry_delays: Option<RetryDelays>,
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

    /// The longest time from a message's first delivery to the end of its last attempt, when each
    /// fails as late as it can.
    pub fn attempts_take_max(&self) -> Duration {
        let attempts = self.max_attempts.get();
        let index = |attempt| usize::try_from(attempt).unwrap_or(usize::MAX);
        let delays = &self.retry_delays;
        let first: Duration = delays.iter().take(index(attempts - 1)).sum();
        // The last pause is that of all further attempts.
        let further = index(attempts - 1).saturating_sub(delays.iter().count());
        let further =
            delays.after(attempts).saturating_mul(u32::try_from(further).unwrap_or(u32::MAX));
        first.saturating_add(further).saturating_add(self.held_max().saturating_mul(attempts))
    }

    /// Refuses what could hold a message of the queue of this key for too long, when each is handled
    /// up to `times` times.
    pub(crate) fn check_held(&self, key: &str, times: u32) -> Result<(), SettingsError> {
        let held = self.held_max().saturating_mul(times);
        if held < HELD_MAX {
            Ok(())
        } else {
            Err(SettingsError::HeldTooLong { key: key.to_owned(), held })
        }
    }

    pub(super) fn with(&self, overrides: &ConsumerOverrides) -> Self {
        let ConsumerOverrides { prefetch, concurrency, max_attempts, .. } = *overrides;
        Self {
            prefetch: prefetch.unwrap_or(self.prefetch),
            concurrency: concurrency.unwrap_or(self.concurrency),
            max_attempts: max_attempts.unwrap_or(self.max_attempts),
            handler_timeout: overrides.handler_timeout.unwrap_or(self.handler_timeout),
            retry_delays: overrides.retry_delays.as_ref().unwrap_or(&self.retry_delays).clone(),
            inbox_retention: self.inbox_retention,
        }
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
