//! A handler's panic becomes a 500 problem; the process and the other requests go on.

use std::panic::AssertUnwindSafe;

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::Problem;

/// The panic's own text may hold request data, so it goes nowhere; the panic hook has logged the
/// place.
pub(super) async fn caught(answer: impl Future<Output = Response>) -> Response {
    // What the request held is gone with it, and what it shared knows of panics: locks are poisoned.
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("handler panicked");
        Problem::internal().into_response()
    })
}
