//! Bodies are read whole, within a time of their own, before their request takes a place: whoever
//! sends half of one takes no place from those who send all of theirs.
//!
//! There is one body at a time to a connection, and none is larger than the limit, so that their
//! number and size are bounded by the limits of connections and of bodies.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use crate::Problem;
use crate::extract::{cut_short, too_large};

/// The bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) length: usize,
    /// From the request's head to the last byte.
    pub(super) time: Duration,
}

/// Goes on with the whole body; refuses one that is too large with 413, one that does not come in
/// time with 408, and one that ends early with 400.
pub(super) async fn whole(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match read(body, &head.headers, limits).await {
        Ok(bytes) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Err(problem) => {
            let mut response = problem.into_response();
            // The rest of the body is still on its way.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
    }
}

async fn read(body: Body, headers: &HeaderMap, limits: Limits) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let length = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits.length) {
        return Err(too_large());
    }
    match timeout(limits.time, to_bytes(body, limits.length)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
            Err(too_large())
        }
        Ok(Err(_)) => Err(cut_short()),
        Err(_) => Err(Problem::request_timeout("the body did not come in time")),
    }
}
