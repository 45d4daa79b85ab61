//! Full-jitter exponential back-off, within a number of attempts and a deadline.
//!
//! Full jitter (a delay from zero to the ceiling) spreads the retries of many callers best:
//! <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::time::Duration;

use super::RetrySettings;
use crate::deadline::Deadline;

/// Says how long to wait before another attempt, and when to give up.
#[derive(Debug, Clone)]
pub struct Backoff {
    settings: RetrySettings,
}

impl Backoff {
    /// The back-off of these settings.
    pub fn new(settings: &RetrySettings) -> Self {
        Self { settings: settings.clone() }
    }

    /// The longest delay after attempt `attempt`, counted from 1.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let factor = self.settings.backoff_multiplier.max(1.0).powi(exponent);
        let seconds = self.settings.initial_backoff.as_secs_f64() * factor;
        let max = self.settings.max_backoff;
        // Infinity and other overflows are "very long", which is the maximum.
        Duration::try_from_secs_f64(seconds).map_or(max, |delay| delay.min(max))
    }

    /// A random delay after attempt `attempt`: zero to the ceiling.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.ceiling(attempt).mul_f64(rand::random::<f64>())
    }

    /// The delay before the next attempt; none when attempts or time are used up.
    ///
    /// A target's `Retry-After` is a lower bound of the delay, up to `max_backoff`.
    pub fn next(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        deadline: Deadline,
    ) -> Option<Duration> {
        if attempt >= self.settings.max_attempts {
            return None;
        }
        let asked = retry_after.unwrap_or_default().min(self.settings.max_backoff);
        let delay = self.delay(attempt).max(asked);
        deadline.remaining().filter(|left| *left > delay).map(|_| delay)
    }
}

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn backoff(max_attempts: u32) -> Backoff {
        Backoff::new(&RetrySettings {
            max_attempts,
            backoff_multiplier: 2.0,
            max_backoff: Duration::from_secs(60),
            initial_backoff: Duration::from_millis(100),
            ..RetrySettings::default()
        })
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let ceilings: Vec<_> = [1, 2, 3, 10, 11, u32::MAX].map(|n| backoff(9).ceiling(n)).into();
        let millis = [100, 200, 400, 51_200, 60_000, 60_000].map(Duration::from_millis);
        assert_eq!(ceilings, millis);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_and_time_both_end_it() {
        let soon = Deadline::within(Duration::ZERO);
        let later = Deadline::within(Duration::from_secs(600));
        assert!(backoff(3).next(2, None, later).is_some());
        assert_eq!(backoff(3).next(3, None, later), None);
        assert_eq!(backoff(3).next(1, None, soon), None);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_obeyed_up_to_the_maximum_and_never_past_the_deadline() {
        let later = Deadline::within(Duration::from_secs(600));
        let asked = |seconds| backoff(3).next(1, Some(Duration::from_secs(seconds)), later);
        assert_eq!(asked(5), Some(Duration::from_secs(5)));
        assert_eq!(asked(3600), Some(Duration::from_secs(60)));
        let soon = Deadline::within(Duration::from_secs(4));
        assert_eq!(backoff(3).next(1, Some(Duration::from_secs(5)), soon), None);
    }

    proptest! {
        #[test]
        fn any_settings_give_a_delay_within_the_maximum(
            multiplier in prop::num::f64::ANY, initial in 0_u64..u64::MAX, attempt in 0_u32..,
        ) {
            let backoff = Backoff::new(&RetrySettings {
                max_attempts: 9,
                backoff_multiplier: multiplier,
                max_backoff: Duration::from_secs(60),
                initial_backoff: Duration::from_millis(initial),
                ..RetrySettings::default()
            });
            prop_assert!(backoff.delay(attempt) <= Duration::from_secs(60));
        }
    }
}
