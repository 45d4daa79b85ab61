//! A handler's panic becomes a 500 problem; the process and the other requests go on.

use std::any::Any;

use axum::response::{IntoResponse, Response};

use crate::Problem;

/// The panic's own text may hold request data, so it goes nowhere; the panic hook has logged the
/// place.
pub(super) fn answer(_panic: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("handler panicked");
    Problem::internal().into_response()
}
