//! Answers to what is no request: a problem document with a request id, as every other error has.

use http::{HeaderName, HeaderValue, StatusCode};

use crate::middleware::PROTECTION;
use crate::{Clock, Problem};

/// The bytes of an answer with this status, after which the connection is closed.
pub(super) fn answer(status: StatusCode) -> Vec<u8> {
    let body = serde_json::to_vec(&problem(status)).unwrap_or_default();
    let id = Clock::system().new_id();
    tracing::info!(http.status = status.as_u16(), request.id = %id, "no request was read");
    let retry_after =
        if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    let line = |(name, value): &(HeaderName, HeaderValue)| {
        format!("{name}: {}\r\n", value.to_str().unwrap_or_default())
    };
    let protection: String = PROTECTION.iter().map(line).collect();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         x-request-id: {id}\r\n{retry_after}{protection}cache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn problem(status: StatusCode) -> Problem {
    let problem = Problem::of(status);
    match status {
        StatusCode::BAD_REQUEST => problem.detail("this is no HTTP/1.1 request"),
        StatusCode::REQUEST_TIMEOUT => problem.detail("the head of a request did not end"),
        StatusCode::SERVICE_UNAVAILABLE => problem.detail("too many connections; try again"),
        _ => problem,
    }
}

/// The status of an answer that hyper gives by itself: one to what it cannot read.
pub(super) fn status(head: &[u8]) -> Option<StatusCode> {
    let status = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)
}
