//! `[consumer]` and `[consumer:<queue's key>]`: how messages are received.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::Deserialize;

use super::{SettingsError, nonzero};

/// The longest delay of a message that waits for something unavailable: what is back is noticed
/// within it.
const UNAVAILABLE_DELAY_MAX: Duration = Duration::from_secs(30);

/// Section `[consumer]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Messages that the broker sends ahead of their acknowledgement, 1 to 65,535.
    pub prefetch: NonZeroU16,
    /// Messages that are handled at the same time; the rest of the prefetched ones wait. Each takes a
    /// database connection: fewer than the pool has, so that requests and the relay have theirs.
    pub concurrency: NonZeroU16,
    /// Attempts before a message is dead-lettered; the first delivery is attempt 1.
    pub max_attempts: NonZeroU32,
    /// The longest that one attempt may take; longer is a failed attempt.
    pub handler_timeout: Duration,
    /// The longest that a message stays unacknowledged; some minutes less than the broker's
    /// `consumer_timeout`, after which it closes the channel (30 minutes unless it is told otherwise),
    /// because what follows a handler takes its time too.
    pub unacked_max: Duration,
    /// The pause before each further attempt; the last one is used again when attempts outnumber
    /// pauses.
    pub retry_delays: RetryDelays,
    /// How long a message waits in retry queues, in all, for something that is unavailable to it;
    /// from then on each such failure is an attempt, so that it is dead-lettered in the end.
    pub unavailable_max: Duration,
    /// The share of the last messages, 0 to 1, that pauses the consumer when something was
    /// unavailable to them; 0: never.
    pub kill_switch_ratio: f64,
    /// How many messages the kill switch judges by.
    pub kill_switch_messages: NonZeroU16,
    /// The longest time from one probe of a paused consumer to the next.
    pub kill_switch_delay_max: Duration,
    /// How long the inbox remembers a message. Longer than any redelivery can take.
    pub inbox_retention: Duration,
}

/// Section `[consumer:<queue's key>]`: what is left out is as in `[consumer]`, and so is what is not
/// here. The inbox is one for all consumers of a service, and so is its retention.
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
            concurrency: nonzero(3),
            max_attempts: nonzero(6).into(),
            handler_timeout: Duration::from_secs(30),
            unacked_max: Duration::from_mins(25),
            retry_delays: RetryDelays([1, 5, 30, 120, 600].map(Duration::from_secs).to_vec()),
            unavailable_max: Duration::from_hours(24),
            kill_switch_ratio: 0.8,
            kill_switch_messages: nonzero(20),
            kill_switch_delay_max: Duration::from_secs(30),
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
    /// fails as late as it can, and something was unavailable for as long as it may be.
    pub fn attempts_take_max(&self) -> Duration {
        let handled = self.held_max().saturating_mul(self.max_attempts.get());
        self.delays_take_max().saturating_add(handled).saturating_add(self.unavailable_max)
    }

    /// The sum of the delays between all attempts.
    fn delays_take_max(&self) -> Duration {
        let attempts = self.max_attempts.get();
        let index = |attempt| usize::try_from(attempt).unwrap_or(usize::MAX);
        let delays = &self.retry_delays;
        let first: Duration = delays.iter().take(index(attempts - 1)).sum();
        // The last pause is that of all further attempts.
        let further = index(attempts - 1).saturating_sub(delays.iter().count());
        let further =
            delays.after(attempts).saturating_mul(u32::try_from(further).unwrap_or(u32::MAX));
        first.saturating_add(further)
    }

    /// Whether a message that came back so often for want of something has waited for that as long
    /// as a message may. By what it spent in retry queues: no clock has to be right for it.
    pub(crate) fn has_waited_long(&self, times: u32) -> bool {
        self.retry_delays.all_while_unavailable(times) >= self.unavailable_max
    }

    /// Refuses what could hold a message of the queue of this key for too long, when each is handled
    /// up to `times` times.
    pub(crate) fn check_held(&self, key: &str, times: u32) -> Result<(), SettingsError> {
        let held = self.held_max().saturating_mul(times);
        let unacked_max = self.unacked_max;
        if held < unacked_max {
            Ok(())
        } else {
            Err(SettingsError::HeldTooLong { key: key.to_owned(), held, unacked_max })
        }
    }

    /// When an ordered consumer hands back what it has in hand: what a handler has then is still
    /// finished in time.
    pub(crate) fn handed_back_after(&self) -> Duration {
        self.unacked_max.saturating_sub(self.handler_timeout)
    }

    /// Refuses attempts that an ordered consumer of the queue of this key could not make one after
    /// the other while it has the message in hand: it would begin anew for ever.
    pub(crate) fn check_in_place(&self, key: &str) -> Result<(), SettingsError> {
        let delays = self.delays_take_max();
        let handled = self.handler_timeout.saturating_mul(self.max_attempts.get());
        let takes = delays.saturating_add(handled);
        if takes < self.handed_back_after() {
            return Ok(());
        }
        let key = key.to_owned();
        let unacked_max = self.unacked_max;
        Err(SettingsError::AttemptsTakeTooLong { key, takes, unacked_max })
    }

    pub(super) fn with(&self, overrides: &ConsumerOverrides) -> Self {
        let ConsumerOverrides { prefetch, concurrency, max_attempts, .. } = *overrides;
        Self {
            prefetch: prefetch.unwrap_or(self.prefetch),
            concurrency: concurrency.unwrap_or(self.concurrency),
            max_attempts: max_attempts.unwrap_or(self.max_attempts),
            handler_timeout: overrides.handler_timeout.unwrap_or(self.handler_timeout),
            retry_delays: overrides.retry_delays.as_ref().unwrap_or(&self.retry_delays).clone(),
            ..self.clone()
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

    /// The delay before a message comes back that found something unavailable for the `times`-th
    /// time in a row: at most half a minute, or the shortest of all where each is longer.
    pub(crate) fn while_unavailable(&self, times: u32) -> Duration {
        let ladder = self.unavailable_ladder();
        let index = usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
        ladder[index.min(ladder.len() - 1)]
    }

    /// The sum of the delays of the first `times` times.
    fn all_while_unavailable(&self, times: u32) -> Duration {
        let ladder = self.unavailable_ladder();
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        let first: Duration = ladder.iter().take(times).sum();
        let further = u32::try_from(times.saturating_sub(ladder.len())).unwrap_or(u32::MAX);
        first.saturating_add(ladder[ladder.len() - 1].saturating_mul(further))
    }

    /// Never empty.
    fn unavailable_ladder(&self) -> Vec<Duration> {
        let short = self.0.iter().copied().filter(|delay| *delay <= UNAVAILABLE_DELAY_MAX);
        let mut ladder: Vec<Duration> = short.collect();
        if ladder.is_empty() {
            ladder.extend(self.0.iter().min());
        }
        ladder
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().copied()
    }
}
