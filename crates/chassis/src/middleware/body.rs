//! Bodies are read whole, within a time of their own, before their request takes a place: whoever
//! sends half of one takes no place from those who send all of theirs.
//!
//! There is one body at a time to a connection, and none is larger than the limit. The first few KiB
//! of each, more than nearly all requests have, are bounded by that alone. What is beyond them is
//! read from a budget that all bodies share, so that a thousand strangers with bodies as large as
//! they may be take a few MiB, and keep nobody out but each other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::extract::cut_short;
use crate::{Problem, ServerSettings};

/// What every body may have, whatever the others have, in bytes.
const SHARE: usize = 4 << 10;
/// What all bodies may have beyond that, together, in bytes.
const BUDGET: usize = 8 << 20;
/// How soon there may be something left of the budget again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bounds of bodies. Clones share the budget.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// In bytes.
    length: usize,
    /// From the request's head to the last byte.
    time: Duration,
    budget: Arc<Semaphore>,
}

impl Limits {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        // One body at least, however large it may be.
        let budget = Arc::new(Semaphore::new(BUDGET.max(settings.body_limit)));
        Self { length: settings.body_limit, time: settings.body_timeout, budget }
    }
}

/// The same request with its whole body. Refuses one that is too large with 413, one that does not come
/// in time with 408, one that ends early with 400, and a large one with 503 while all large ones
/// together are too much.
pub(super) async fn whole(limits: &Limits, request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (head, body) = request.into_parts();
    // The budget is given back once the body is handed over: from then on the limit of requests in hand
    // bounds what is kept.
    let bytes = read(body, &head.headers, limits).await?;
    Ok(Request::from_parts(head, Body::from(bytes)))
}

/// The answer to a request without its whole body; the rest of it is still on its way.
pub(super) fn refused(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn read(body: Body, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let length = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits.length) {
        return Err(Problem::too_large());
    }
    let late = |_| Problem::request_timeout("the body did not come in time");
    timeout(limits.time, collect(body, limits)).await.map_err(late)?
}

async fn collect(mut body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    let mut granted: Option<SemaphorePermit<'_>> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| cut_short())?.into_data() else { continue };
        let before = whole.len().max(SHARE);
        let after = (whole.len() + data.len()).max(SHARE);
        if whole.len() + data.len() > limits.length {
            return Err(Problem::too_large());
        }
        if after > before {
            let more = u32::try_from(after - before).unwrap_or(u32::MAX);
            let more = limits.budget.try_acquire_many(more).map_err(|_| {
                Problem::unavailable("too many large bodies are on their way", RETRY_AFTER)
            })?;
            match &mut granted {
                Some(granted) => granted.merge(more),
                None => granted = Some(more),
            }
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
