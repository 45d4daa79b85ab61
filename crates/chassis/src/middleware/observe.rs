//! One span, one counter, one duration and one log line per request.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use telemetry::propagation;
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

use super::{RequestId, metrics};

pub(super) async fn observe(
    State(service): State<&'static str>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = method_label(request.method());
    // The template, not the path: ids in names would make every request its own series.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let span = span(&request, method, route);
    propagation::set_parent(&span, request.headers());
    let (route, log_span) = (route.to_owned(), span.clone());
    let request_id = request.extensions().get::<RequestId>().cloned();
    let response = next.run(request).instrument(span.clone()).await;

    let (status, took) = (response.status(), began.elapsed());
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    metrics::answered(service, method, &route, status, took);
    log_span.in_scope(|| {
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

/// A server span by OpenTelemetry's HTTP conventions. No query string, no headers, no body.
fn span(request: &Request, method: &str, route: &str) -> Span {
    tracing::info_span!(
        "http.request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        url.path = request.uri().path(),
    )
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
        _ => "OTHER",
    }
}
