//! Load shedding: past its bounds a service refuses at once, instead of answering everybody late.
//!
//! Some places are kept for other services, whose calls stand for users who wait for them. Who calls
//! is known only after the token has been checked, which is further inside. So a request that comes
//! with a token is let in there for as long as that takes, and whoever checks it refuses all but
//! services: see [`ReservedPlace`].
//!
//! ```text
//!   background ─▶ three quarters of the limit
//!   default    ─▶ the limit ─▶ three quarters of the reserve, for services
//!   critical   ─▶ the limit ─▶ the reserve
//! ```
//!
//! The limit is that of the settings, or less while requests take longer than usual: see
//! [`resilience::limit`].

use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Extensions, StatusCode, header};
use resilience::criticality::Criticality;
use resilience::limit::{Limit, LimitPermit};

use super::metrics;
use crate::Problem;

/// What a refused caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The places for requests in flight. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) service: &'static str,
    pub(super) anybody: Limit,
    /// For other services, when there is no other place.
    pub(super) services: Limit,
}

/// A place that a request is in.
pub(super) struct Place(LimitPermit);

/// A request is in a place that is kept for other services; an extension of such a request. Whoever
/// learns who calls must [`refuse`](Self::refuse) everybody else, and must not wait for anything
/// before: a stranger's request would hold the place for so long.
#[derive(Debug, Clone, Copy)]
pub struct ReservedPlace {
    service: &'static str,
}

impl ReservedPlace {
    /// The place of a request, if it is a reserved one.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// The answer to who is no service: that of a service which has no place left.
    pub fn refuse(self) -> Problem {
        overloaded(self.service)
    }
}

impl Places {
    /// A place for a request, until it is dropped; none while all are taken.
    pub(super) fn take(&self, request: &mut Request) -> Option<Place> {
        let criticality = request.extensions().get().copied().unwrap_or_default();
        if let Some(place) = self.anybody.try_acquire(criticality) {
            return Some(Place(place));
        }
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return None;
        }
        let place = match criticality {
            Criticality::Background => None,
            // The last quarter is for what must not be refused.
            Criticality::Default => self.services.try_acquire(Criticality::Background),
            Criticality::Critical => self.services.try_acquire(Criticality::Critical),
        }?;
        request.extensions_mut().insert(ReservedPlace { service: self.service });
        Some(Place(place))
    }

    /// The answer where there is no place.
    pub(super) fn refuse(&self) -> Response {
        overloaded(self.service).into_response()
    }
}

impl Place {
    /// Leaves it with this answer. One that refuses a request says nothing of how long the work of
    /// others takes.
    pub(super) fn leave(self, response: &Response) {
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.0.overloaded(),
            status if status.is_client_error() || status.is_server_error() => {}
            _ => self.0.answered(),
        }
    }
}

fn overloaded(service: &str) -> Problem {
    metrics::shed(service);
    Problem::unavailable("too many requests in flight; try again", RETRY_AFTER)
}
