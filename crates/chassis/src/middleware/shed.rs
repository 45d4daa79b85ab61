//! Load shedding: past its bounds a service refuses at once, instead of answering everybody late.
//!
//! Some permits are kept for other services, whose calls stand for users who wait for them. Who calls
//! is known only after the token has been checked, which is further inside. So a request that comes
//! with a token is let in there for as long as that takes, and whoever checks it refuses all but
//! services: see [`ReservedPermit`].
//!
//! ```text
//!   background ─▶ three quarters of the limit
//!   default    ─▶ the limit ─▶ three quarters of the reserve, for services
//!   critical   ─▶ the limit ─▶ the reserve
//! ```
//!
//! The limit is that of the settings, or less while requests take longer than usual: see
//! [`resilience::limit`]. An answer of 503 alone does not make it less: a service that lost its database
//! is not full. What makes it less is time: answers that are slow, and requests whose time is up.
//!
//! Who is refused gets 503; the background 429, since its callers take 503 for an instance that is down,
//! and would keep their other calls away from it as well.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::{Extensions, header};
use resilience::criticality::Criticality;
use resilience::limit::{Limit, LimitPermit};
use tower::util::MapResponseLayer;

use super::metrics;
use crate::Problem;

/// What a refused caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The permits for requests in flight. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    pub(super) service: &'static str,
    pub(super) anybody: Limit,
    /// For other services, when there is no other permit.
    pub(super) services: Limit,
}

/// Marks an answer that the service's time limit made.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeIsUp;

/// Marks the answer of a route that waits for a limit of its own.
#[derive(Debug, Clone, Copy)]
struct OwnQueue;

/// For routes whose work waits in a bounded queue of its own, as password hashes do: how long they take
/// says nothing of how many requests the service could answer, so the limit does not heed it.
pub fn own_queue() -> MapResponseLayer<fn(Response) -> Response> {
    MapResponseLayer::new(|mut response: Response| {
        response.extensions_mut().insert(OwnQueue);
        response
    })
}

/// What a request holds while it is in flight.
pub(super) struct Permit(LimitPermit);

/// A request holds a permit that is kept for other services; an extension of such a request. Whoever
/// learns who calls must [`refuse`](Self::refuse) everybody else, and must not wait for anything
/// before: a stranger's request would hold the permit for so long.
#[derive(Debug, Clone, Copy)]
pub struct ReservedPermit {
    service: &'static str,
}

impl ReservedPermit {
    /// The permit of a request, if it is a reserved one.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// The answer to who is no service: that of a service which has no permit left.
    pub fn refuse(self) -> Problem {
        overloaded(self.service)
    }
}

impl Permits {
    /// A permit for a request, until it is dropped.
    ///
    /// # Errors
    /// All are taken.
    pub(super) fn take(&self, request: &mut Request) -> Result<Permit, Problem> {
        let criticality = request.extensions().get().copied().unwrap_or_default();
        self.permit(criticality, request).ok_or_else(|| match criticality {
            Criticality::Background => {
                metrics::shed(self.service);
                Problem::rate_limited(RETRY_AFTER)
            }
            Criticality::Default | Criticality::Critical => overloaded(self.service),
        })
    }

    fn permit(&self, criticality: Criticality, request: &mut Request) -> Option<Permit> {
        if let Some(permit) = self.anybody.try_acquire(criticality) {
            return Some(Permit(permit));
        }
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return None;
        }
        let permit = match criticality {
            Criticality::Background => None,
            // The last quarter is for what must not be refused.
            Criticality::Default => self.services.try_acquire(Criticality::Background),
            Criticality::Critical => self.services.try_acquire(Criticality::Critical),
        }?;
        request.extensions_mut().insert(ReservedPermit { service: self.service });
        Some(Permit(permit))
    }
}

impl Permit {
    /// Leaves it with this answer. One that refuses a request says nothing of how long the work of
    /// others takes.
    pub(super) fn leave(self, response: &Response) {
        let status = response.status();
        let marks = response.extensions();
        if marks.get::<OwnQueue>().is_some() {
            return;
        }
        if marks.get::<TimeIsUp>().is_some() {
            self.0.overloaded();
        } else if !status.is_client_error() && !status.is_server_error() {
            self.0.answered();
        }
    }
}

fn overloaded(service: &str) -> Problem {
    metrics::shed(service);
    Problem::unavailable("too many requests in flight; try again", RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::StatusCode;
    use tokio::time::advance;

    use super::*;

    const MAX: usize = 100;

    /// The limit after a minute of requests that take so long, and are answered like this.
    async fn after_a_minute(time: Duration, answer: impl Fn() -> Response) -> usize {
        let limit = Limit::adaptive(MAX);
        for _ in 0..100 {
            let usual = enter(&limit);
            advance(Duration::from_millis(500)).await;
            for permit in usual {
                permit.leave(&StatusCode::OK.into_response());
            }
        }
        let begin = tokio::time::Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            let permits = enter(&limit);
            advance(time).await;
            for permit in permits {
                permit.leave(&answer());
            }
        }
        limit.limit()
    }

    fn enter(limit: &Limit) -> Vec<Permit> {
        let enter = || limit.try_acquire(Criticality::Default).map(Permit);
        std::iter::repeat_with(enter).map_while(|permit| permit).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_answers_503_is_not_full_and_one_whose_time_is_up_or_that_is_slow_is() {
        let unavailable = || StatusCode::SERVICE_UNAVAILABLE.into_response();
        let time_is_up = || {
            let mut answer = StatusCode::SERVICE_UNAVAILABLE.into_response();
            answer.extensions_mut().insert(TimeIsUp);
            answer
        };
        let quick = Duration::from_millis(500);
        let slow = Duration::from_secs(5);
        assert_eq!(after_a_minute(quick, unavailable).await, MAX);
        assert!(after_a_minute(quick, time_is_up).await < MAX / 2);
        assert!(after_a_minute(slow, || StatusCode::OK.into_response()).await < MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_with_a_queue_of_its_own_leaves_the_limit_as_it_is() {
        let answer = || {
            let mut answer = StatusCode::OK.into_response();
            answer.extensions_mut().insert(OwnQueue);
            answer
        };
        assert_eq!(after_a_minute(Duration::from_secs(5), answer).await, MAX);
    }
}
