//! Browsers of other origins: the preflight is answered here, before anybody asks for a token, and
//! what scripts may see of an answer is said.

use std::convert::Infallible;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, Method, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::settings::CorsSettings;
use crate::{Next, Problem};

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// What a page may send.
const SENT: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// What a page may see of an answer, besides what every page may.
const EXPOSED: [HeaderName; 9] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
];

/// The layer for these settings; none while no other origin may call, where a preflight is refused as
/// a method that no route has.
pub(super) fn layer(settings: &CorsSettings) -> Option<CorsLayer> {
    if settings.allowed_origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_methods(METHODS)
        .allow_headers(SENT)
        .expose_headers(EXPOSED)
        .max_age(settings.max_age);
    Some(if settings.is_any() {
        layer.allow_origin(Any)
    } else {
        let origins = AllowOrigin::list(settings.origins());
        layer.allow_origin(origins).allow_credentials(settings.allow_credentials)
    })
}

/// Answers a preflight, and says what pages may see of every other answer; nothing without a layer.
pub(super) async fn cors(layer: Option<&CorsLayer>, request: Request, next: impl Next) -> Response {
    let Some(layer) = layer else { return next.run(request).await };
    let mut next = Some(next);
    // The layer calls it once at most.
    let route = service_fn(|request| {
        let next = next.take();
        async move {
            let Some(next) = next else { return Ok(Problem::internal().into_response()) };
            Ok(next.run(request).await)
        }
    });
    let answer: Result<Response, Infallible> = layer.layer(route).oneshot(request).await;
    let Ok(response) = answer;
    response
}
