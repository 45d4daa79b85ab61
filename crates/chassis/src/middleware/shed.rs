//! Load shedding: past its bounds a service refuses at once, instead of answering everybody late.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header;
use resilience::bulkhead::Bulkhead;

use super::metrics;
use crate::Problem;
use crate::extract::too_large;

/// What a refused caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Refuses with 503 while all places are taken.
pub(super) async fn overload(
    State((service, places)): State<(&'static str, Bulkhead)>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(_place) = places.try_acquire() {
        return next.run(request).await;
    }
    metrics::shed(service);
    Problem::unavailable("too many requests in flight; try again", RETRY_AFTER).into_response()
}

/// Refuses with 413 a body that announces more than the limit; one that does not announce its
/// length is cut off by the extractor at the same limit.
pub(super) async fn oversized(
    State(limit): State<usize>,
    request: Request,
    next: Next,
) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let length = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return too_large().into_response();
    }
    next.run(request).await
}
