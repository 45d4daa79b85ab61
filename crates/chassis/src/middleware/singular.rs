//! Headers that say one thing are there once.
//!
//! Of two it is not clear which counts: a proxy may look at the first and we at the second, and two
//! different `Idempotency-Key`s make two payments of one. What is a list by its own rules, such as
//! `If-Match`, may come in several lines (RFC 9110 §5.3). A second `traceparent` begins a new trace,
//! as its standard says, and a second `Content-Length` hyper refuses.

use axum::extract::Request;
use http::{HeaderName, Version, header};

use crate::Problem;

/// Those of which there may be one.
const SINGULAR: [HeaderName; 10] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    header::ORIGIN,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// Refuses with 400 what has one of them twice, and a request of HTTP/1.1 without `Host` (RFC 9112
/// §3.2).
pub(super) fn fault(request: &Request) -> Option<Problem> {
    let version = request.version();
    let headers = request.headers();
    let count = |name: &HeaderName| headers.get_all(name).iter().count();
    if let Some(name) = SINGULAR.iter().find(|name| count(name) > 1) {
        return Some(Problem::bad_request(format!("send one {name} header, not several")));
    }
    let is_nowhere = version == Version::HTTP_11 && count(&header::HOST) == 0;
    is_nowhere.then(|| Problem::bad_request("the Host header is missing"))
}
