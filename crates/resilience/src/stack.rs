//! All patterns around one service, in the order that makes them work together.
//!
//! ```text
//!   fallback          outermost: an answer for whatever went wrong inside
//!     total timeout   the caller's patience covers pauses and all attempts
//!       retry         each attempt passes everything below by itself
//!         rate limit  an attempt is load, whether it is the first or not
//!         bulkhead    a pause between attempts holds no place
//!           breaker   refuses attempts, so retries end once the target is known to be down;
//!                     inside the limits, so that their refusals say nothing about the target
//!             attempt timeout   inside the breaker, so that a hang counts as a failure
//!               service
//! ```
//!
//! Each part is optional; the order of the builder's calls does not matter.

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests;

use std::time::Duration;

use tower::Layer;
use tower::layer::util::Identity;
use tower::retry::RetryLayer;

use crate::breaker::{BreakerLayer, CircuitBreaker};
use crate::bulkhead::{Bulkhead, BulkheadLayer};
use crate::error::{ErrorService, guard};
use crate::rate_limit::{RateLimit, RateLimitLayer};
use crate::retry::RetryPolicy;
use crate::timeout::{AttemptTimeoutLayer, TotalTimeoutLayer};

/// A builder of the whole stack, which is a layer: see the example at the crate's head.
///
/// The parameters are the layers of the parts, outermost first; the default of each does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stack<
    F = Identity,
    T = Identity,
    R = Identity,
    L = Identity,
    H = Identity,
    B = Identity,
    A = Identity,
> {
    fallback: F,
    total: T,
    retry: R,
    rate_limit: L,
    bulkhead: H,
    breaker: B,
    attempt: A,
}

impl Stack {
    /// No part yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F, T, R, L, H, B, A> Stack<F, T, R, L, H, B, A> {
    /// An answer for what went wrong: a [`FallbackLayer`](crate::fallback::FallbackLayer), a
    /// [`StaleLayer`](crate::fallback::StaleLayer), or any other layer.
    pub fn fallback<N>(self, layer: N) -> Stack<N, T, R, L, H, B, A> {
        let Self { total, retry, rate_limit, bulkhead, breaker, attempt, .. } = self;
        let fallback = layer;
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// The time of a call in all, pauses and every attempt included.
    pub fn total_timeout(self, timeout: Duration) -> Stack<F, TotalTimeoutLayer, R, L, H, B, A> {
        let Self { fallback, retry, rate_limit, bulkhead, breaker, attempt, .. } = self;
        let total = TotalTimeoutLayer::new(timeout);
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// Further attempts.
    pub fn retry<C>(
        self,
        policy: RetryPolicy<C>,
    ) -> Stack<F, T, RetryLayer<RetryPolicy<C>>, L, H, B, A> {
        let Self { fallback, total, rate_limit, bulkhead, breaker, attempt, .. } = self;
        let retry = RetryLayer::new(policy);
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// Attempts in a second.
    pub fn rate_limit(self, limit: RateLimit) -> Stack<F, T, R, RateLimitLayer, H, B, A> {
        let Self { fallback, total, retry, bulkhead, breaker, attempt, .. } = self;
        let rate_limit = RateLimitLayer::new(limit);
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// Attempts in flight.
    pub fn bulkhead(self, bulkhead: Bulkhead) -> Stack<F, T, R, L, BulkheadLayer, B, A> {
        let Self { fallback, total, retry, rate_limit, breaker, attempt, .. } = self;
        let bulkhead = BulkheadLayer::new(bulkhead);
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// The breaker; `classify` says what an answer tells of the target.
    pub fn breaker<C>(
        self,
        breaker: CircuitBreaker,
        classify: C,
    ) -> Stack<F, T, R, L, H, BreakerLayer<C>, A> {
        let Self { fallback, total, retry, rate_limit, bulkhead, attempt, .. } = self;
        let breaker = BreakerLayer::new(breaker, classify);
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// The time of one attempt.
    pub fn attempt_timeout(
        self,
        timeout: Duration,
    ) -> Stack<F, T, R, L, H, B, AttemptTimeoutLayer> {
        let Self { fallback, total, retry, rate_limit, bulkhead, breaker, .. } = self;
        let attempt = AttemptTimeoutLayer::new(timeout);
        Stack { fallback, total, retry, rate_limit, bulkhead, breaker, attempt }
    }

    /// The service with all parts around it. Its errors become [`Error::Inner`](crate::Error).
    pub fn service<S>(&self, service: S) -> <Self as Layer<S>>::Service
    where
        Self: Layer<S>,
    {
        self.layer(service)
    }
}

impl<S, F, T, R, L, H, B, A> Layer<S> for Stack<F, T, R, L, H, B, A>
where
    A: Layer<ErrorService<S>>,
    B: Layer<A::Service>,
    H: Layer<B::Service>,
    L: Layer<H::Service>,
    R: Layer<L::Service>,
    T: Layer<R::Service>,
    F: Layer<T::Service>,
{
    type Service = F::Service;

    fn layer(&self, service: S) -> Self::Service {
        let attempt = self.breaker.layer(self.attempt.layer(guard(service)));
        let limited = self.rate_limit.layer(self.bulkhead.layer(attempt));
        self.fallback.layer(self.total.layer(self.retry.layer(limited)))
    }
}
