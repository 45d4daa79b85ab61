//! The rate limit: so many calls in a second, with a burst, refused beyond that.
//!
//! The algorithm is GCRA (a leaky bucket as a meter), from the crate `governor`, on tokio's clock.

mod clock;
mod layer;
mod service;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use serde::Deserialize;

use clock::{Moment, TokioClock};
pub use layer::RateLimitLayer;
pub use service::{RateLimitService, ResponseFuture};

/// How many calls may be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RateLimitSettings {
    /// Calls in a second; 0 counts as 1.
    pub per_second: u32,
    /// Calls that may be made at once after a quiet time; 0 counts as 1.
    pub burst: u32,
}

/// A meter of calls. Cheap to clone; clones share the count.
#[derive(Clone)]
pub struct RateLimit {
    limiter: Arc<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>>,
    clock: TokioClock,
}

/// The rate is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is reached")]
pub struct RateLimited {
    /// When the next call may be made.
    pub retry_after: Duration,
}

impl RateLimit {
    /// A meter that has a burst free.
    pub fn new(settings: &RateLimitSettings) -> Self {
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(settings.per_second))
            .allow_burst(at_least_one(settings.burst));
        let clock = TokioClock::new();
        Self { limiter: Arc::new(RateLimiter::direct_with_clock(quota, clock.clone())), clock }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// [`RateLimited`] when there are too many; then it is not counted.
    pub fn try_acquire(&self) -> Result<(), RateLimited> {
        let wait =
            |not_until: governor::NotUntil<Moment>| not_until.wait_time_from(self.clock.now());
        self.limiter.check().map_err(|not_until| RateLimited { retry_after: wait(not_until) })
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_then_the_rate_and_a_refusal_says_when() {
        let limit = RateLimit::new(&RateLimitSettings { per_second: 10, burst: 3 });
        for _ in 0..3 {
            limit.try_acquire().unwrap();
        }
        let refused = limit.try_acquire().unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(100));
        tokio::time::advance(refused.retry_after).await;
        limit.try_acquire().unwrap();
        assert!(limit.try_acquire().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn zeros_count_as_one() {
        let limit = RateLimit::new(&RateLimitSettings { per_second: 0, burst: 0 });
        limit.try_acquire().unwrap();
        assert_eq!(limit.try_acquire().unwrap_err().retry_after, Duration::from_secs(1));
    }
}
