//! The deadline: the service's own time limit, or the caller's where that is shorter.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use resilience::deadline::Deadline;

use super::metrics;
use crate::Problem;

/// What a caller that ran out of time is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Ends the handler when time is up; it reads what is left from the request's extensions.
pub(super) async fn limit(
    State((service, limit)): State<(&'static str, Duration)>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Deadline::from_headers(request.headers()).map(|deadline| deadline.remaining());
    let limit = asked.map_or(limit, |left| left.unwrap_or_default().min(limit));
    request.extensions_mut().insert(Deadline::within(limit));
    if let Ok(response) = tokio::time::timeout(limit, next.run(request)).await {
        return response;
    }
    metrics::timed_out(service);
    Problem::unavailable("the request's time is up; try again", RETRY_AFTER).into_response()
}
