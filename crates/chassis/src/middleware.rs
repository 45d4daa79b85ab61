//! What every request passes, outermost first.
//!
//! The order is the point: an answer of any inner layer, a panic's included, is traced, counted and
//! carries the request id; a body is there before its request takes a place; a refused request costs no
//! work; the deadline covers the handler only.

mod body;
mod client_address;
mod deadline;
mod drain;
mod metrics;
mod origin;
mod panic;
mod request_id;
mod shed;
mod trace;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use resilience::bulkhead::Bulkhead;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{Problem, ServerSettings, ServiceInfo};

pub use client_address::ClientAddress;
pub use deadline::client_deadline;
pub(crate) use drain::close_when_draining;
pub use origin::ServiceCheck;
pub use request_id::RequestId;
use shed::Places;
pub use shed::ReservedPlace;

/// Wraps a service's routes; the health and metrics routes stay outside the limits.
pub(crate) fn wrap(
    routes: Router,
    info: &ServiceInfo,
    settings: &ServerSettings,
    services: ServiceCheck,
) -> Router {
    let places = Places {
        service: info.name,
        anybody: Bulkhead::new(settings.concurrency_limit),
        services: Bulkhead::new(settings.service_concurrency_limit),
    };
    metrics::show(info.name, places.anybody.clone());
    let insiders = origin::Insiders { proxies: settings.tracing_proxies.clone(), services };
    let bodies = body::Limits::new(settings);
    routes
        .fallback(async || Problem::not_found("no route has this path"))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(settings.body_limit))
        .layer(from_fn_with_state((info.name, settings.request_timeout), deadline::limit))
        .layer(from_fn_with_state(places, shed::overload))
        .layer(from_fn_with_state(bodies, body::whole))
        .layer(CatchPanicLayer::custom(panic::answer))
        .layer(from_fn_with_state(info.name, trace::trace))
        .layer(from_fn_with_state(settings.trusted_proxies.clone(), client_address::client_address))
        .layer(from_fn(request_id::request_id))
        .layer(from_fn_with_state(insiders, origin::origin))
}

async fn method_not_allowed() -> Problem {
    let title = "The resource does not support this method";
    Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title)
}
