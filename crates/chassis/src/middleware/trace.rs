//! One trace, one counter, one duration and one log line per request.

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::{Method, Version};
use telemetry::{Caller, RequestTrace};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::header_trust::HeaderTrust;
use super::{RequestId, metrics};
use crate::Next;

/// A method that is none of the standard ones.
const OTHER: &str = "_OTHER";
/// In the place of a part of a path.
const REDACTED: &str = "REDACTED";

pub(super) async fn trace(service: &'static str, request: Request, next: impl Next) -> Response {
    let began = Instant::now();
    let method = method_label(request.method());
    // The template, not the path: ids in names would make every request its own series.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let caller = match HeaderTrust::of(request.extensions()) {
        HeaderTrust::Trusted => Caller::Trusted,
        HeaderTrust::Untrusted => Caller::Stranger,
    };
    let trace = RequestTrace::begin(request.headers(), caller, || span(&request, method, route));
    let request_id = request.extensions().get::<RequestId>().cloned();
    let response = trace.run(next.run(request)).await;

    let status = response.status();
    let took = began.elapsed();
    let span = trace.span();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR").record("error.type", status.as_str());
    }
    let route = route.unwrap_or("unmatched");
    metrics::answered(service, method, route, status, took);
    trace.in_scope(|| {
        tracing::info!(
            http.method = method,
            http.route = route,
            http.status = status.as_u16(),
            request.id = request_id.as_ref().map(RequestId::as_str),
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "request answered"
        );
    });
    response
}

/// A server span by <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>. No query, no
/// headers, `Host` among them, no body, no address of the caller: what people write there may be
/// anything.
fn span(request: &Request, method: &str, route: Option<&str>) -> Span {
    let span = tracing::info_span!(
        "http.request",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.scheme = "http",
        url.path = path(request.uri().path(), route.unwrap_or_default()),
        network.protocol.version = version(request.version()),
        error.type = Empty,
    );
    let method = if method == OTHER { "HTTP" } else { method };
    span.record(
        "otel.name",
        route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
    );
    span
}

/// The path as far as it holds nothing that a caller made up: parts of the route, and ids as we write
/// them.
fn path(path: &str, route: &str) -> String {
    let mut parts = route.split('/');
    let part = |part| {
        let is_known = parts.next() == Some(part) || is_id(part);
        if is_known { part } else { REDACTED }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Whether this is an id with its hyphens: 32 digits without them may be a token.
fn is_id(part: &str) -> bool {
    part.len() == Hyphenated::LENGTH && Uuid::try_parse(part).is_ok()
}

/// HTTP/2 is not served.
fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "1.0" } else { "1.1" }
}

/// A method from the closed set of the standard ones, so that labels stay bounded.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_path_shows_its_route_and_ids_and_nothing_else() {
        let id = "0197c1f0-5c00-7000-8000-000000000001";
        for (given, route, shown) in [
            ("/api/users", "/api/users", "/api/users".to_owned()),
            (&format!("/api/users/{id}"), "/api/users/{id}", format!("/api/users/{id}")),
            ("/api/users/a@example.com", "/api/users/{id}", "/api/users/REDACTED".to_owned()),
            (
                "/api/users/0197c1f05c0070008000000000000001",
                "/api/users/{id}",
                "/api/users/REDACTED".to_owned(),
            ),
            (
                "/api/users/{0197c1f0-5c00-7000-8000-000000000001}",
                "/api/users/{id}",
                "/api/users/REDACTED".to_owned(),
            ),
            ("/4111111111111111/x", "", "/REDACTED/REDACTED".to_owned()),
            ("/docs/a/b", "/docs/{*rest}", "/docs/REDACTED/REDACTED".to_owned()),
            ("/", "/", "/".to_owned()),
        ] {
            assert_eq!(path(given, route), shown);
        }
    }
}
