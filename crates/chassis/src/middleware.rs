//! What every request passes, outermost first.
//!
//! The order is the point: an answer of any inner layer, a panic's included, is traced, counted and
//! carries the request id; a body is there before its request takes a place; a refused request costs no
//! work; the deadline covers the handler only.
//!
//! ```text
//! origin ─▶ request id ─▶ protection ─▶ problem documents ─▶ draining ─┬▶ protected
//!                                                                      └▶ panic ─▶ open route
//! protected: CORS ─▶ caching ─▶ conditional ─▶ client address ─▶ trace ─▶ panic ─▶ singular headers
//!            ─▶ body ─▶ shedding ─▶ deadline ─▶ guard ─▶ route
//! ```

mod body;
mod client_address;
mod conditional;
mod cors;
mod deadline;
mod drain;
mod metrics;
mod origin;
mod panic;
mod problems;
mod protection;
mod request_id;
mod shed;
mod singular;
mod trace;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use http::StatusCode;
use resilience::bulkhead::Bulkhead;
use tower_http::catch_panic::CatchPanicLayer;

use crate::health::Health;
use crate::settings::{Audience, CorsSettings};
use crate::{ServerSettings, ServiceInfo};

pub use client_address::ClientAddress;
pub use deadline::client_deadline;
pub use origin::ServiceCheck;
pub(crate) use protection::HEADERS as PROTECTION;
pub use request_id::RequestId;
use shed::Places;
pub use shed::ReservedPlace;

/// What the layers of a listener need besides its settings.
pub(crate) struct Surroundings {
    pub(crate) health: Health,
    pub(crate) info: ServiceInfo,
    pub(crate) services: ServiceCheck,
    pub(crate) cors: CorsSettings,
}

/// All that one listener answers: routes behind a guard, within their limits, and open ones outside
/// of them, so that a service that is full still answers its probes. An open route is neither
/// counted nor logged, since pollers would fill both.
pub(crate) fn listener(
    protected: Router,
    open: Router,
    audience: Audience,
    settings: &ServerSettings,
    surroundings: &Surroundings,
) -> Router {
    let Surroundings { health, info, services, cors } = surroundings;
    let (proxies, services) = (settings.tracing_proxies.clone(), services.clone());
    open.layer(from_fn(singular::singular))
        .layer(CatchPanicLayer::custom(panic::answer))
        .merge(wrap(protected, audience, info, settings, cors))
        .layer(from_fn_with_state(health.clone(), drain::close_when_draining))
        .layer(from_fn(problems::problems))
        .layer(from_fn(protection::protection))
        .layer(from_fn(request_id::request_id))
        .layer(from_fn_with_state(origin::Insiders { proxies, services }, origin::origin))
}

/// Wraps a service's routes.
fn wrap(
    routes: Router,
    audience: Audience,
    info: &ServiceInfo,
    settings: &ServerSettings,
    cors: &CorsSettings,
) -> Router {
    let places = Places {
        service: info.name,
        anybody: Bulkhead::new(settings.concurrency_limit),
        services: Bulkhead::new(settings.service_concurrency_limit),
    };
    if audience == Audience::Callers {
        metrics::show(info.name, places.anybody.clone());
    }
    let bodies = body::Limits::new(settings);
    let routes = routes
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(DefaultBodyLimit::max(settings.body_limit))
        .layer(from_fn_with_state((info.name, settings.request_timeout), deadline::limit))
        .layer(from_fn_with_state(places, shed::overload))
        .layer(from_fn_with_state(bodies, body::whole))
        .layer(from_fn(singular::singular))
        .layer(CatchPanicLayer::custom(panic::answer))
        .layer(from_fn_with_state(info.name, trace::trace))
        .layer(from_fn_with_state(settings.trusted_proxies.clone(), client_address::client_address))
        .layer(from_fn(conditional::conditional))
        .layer(from_fn(protection::caching));
    // Pages have no business with operators' routes on a port of their own.
    match cors::layer(cors).filter(|_| audience == Audience::Callers) {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}
