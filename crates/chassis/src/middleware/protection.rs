//! What every answer tells browsers and caches.
//!
//! | header | why |
//! |---|---|
//! | `X-Content-Type-Options: nosniff` | JSON with markup in it is not taken for a page |
//! | `Content-Security-Policy` | nothing here is a page that may load, run or be framed; `/docs` has its own |
//! | `Referrer-Policy: no-referrer` | no id in a path goes to where a link leads |
//! | `Cross-Origin-Resource-Policy: same-origin` | no other site embeds an answer; CORS has its own say |
//! | `Cache-Control` | see [`caching`] |
//!
//! `Strict-Transport-Security` is not among them: the service itself speaks plain HTTP, where it must
//! not be sent (RFC 6797 §7.2). Whoever ends TLS in front of it sends it, as ingress-nginx does.

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, header};

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Those that every answer has, in the order of the table.
pub(crate) const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CORP, HeaderValue::from_static("same-origin")),
];

/// Adds those that an answer does not have.
pub(super) fn protect(response: &mut Response) {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
}

/// Says of an answer that says nothing of caches: what is read is kept by the caller's own cache
/// alone, since it may be personal, and asked for again each time, which `If-None-Match` makes cheap.
/// Everything else is kept by none: an error, and what a change gives, such as a new token (RFC 6749
/// §5.1). The answer is another one for another caller, though its `ETag` may be the same.
pub(super) fn caching(method: &Method, response: &mut Response) {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let headers = response.headers_mut();
    if headers.contains_key(header::CACHE_CONTROL) {
        return;
    }
    let value = if is_error || !is_read { "no-store" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
    headers.append(header::VARY, HeaderValue::from_static("authorization"));
}
