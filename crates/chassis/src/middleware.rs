//! What every request passes, outermost first.
//!
//! The order is the point: an answer of any inner layer, a panic's included, is traced, counted and
//! carries the request id; a body is there before its request takes a permit; a refused request costs no
//! work; the deadline covers the handler only.
//!
//! ```text
//! begin         trust ──▶ request id                                             end  problem document, draining,
//!   to_open       singular headers ─▶ panic ─▶ route                                  protection, request id
//!   to_protected  CORS ─▶ traced
//!     traced        client address ─▶ trace ─▶ conditions ─▶ panic ─▶ limited ─▶ caching
//!     limited       singular headers ─▶ body ─▶ permit ─▶ deadline ─▶ guard ─▶ route
//! ```
//!
//! It is one layer of plain functions, and not one of axum's for each: such a layer clones all that is
//! behind it, and boxes it and its future, for each request.

mod body;
mod client_address;
mod conditional;
mod cors;
mod deadline;
mod drain;
mod header_trust;
mod metrics;
mod panic;
mod problems;
mod protection;
mod request_id;
mod shed;
mod singular;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use resilience::limit::Limit;
use tower_http::cors::CorsLayer;

use crate::health::Health;
use crate::next::{Next, around};
use crate::settings::{Audience, CorsSettings, TrustedProxies};
use crate::{ServerSettings, ServiceInfo};

pub use client_address::ClientAddress;
use conditional::Conditions;
pub use deadline::client_deadline;
pub use header_trust::ServiceCheck;
pub(crate) use protection::HEADERS as PROTECTION;
pub use request_id::RequestId;
use shed::Permits;
pub use shed::{ReservedPermit, own_queue};

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
    let pipeline = Arc::new(Pipeline::new(audience, settings, surroundings));
    let to_open = {
        let pipeline = pipeline.clone();
        around(move |request, route| {
            let pipeline = pipeline.clone();
            async move { pipeline.to_open(request, route).await }
        })
    };
    let to_protected = around(move |request, route| {
        let pipeline = pipeline.clone();
        async move { pipeline.to_protected(request, route).await }
    });
    let nowhere = protected.fallback(async || StatusCode::NOT_FOUND);
    open.layer(to_open).merge(nowhere.layer(to_protected))
}

/// What a listener does around its routes, and what the functions of it need.
struct Pipeline {
    service: &'static str,
    health: Health,
    trusted: header_trust::TrustedCallers,
    cors: Option<CorsLayer>,
    proxies: TrustedProxies,
    bodies: body::Limits,
    body_limit: DefaultBodyLimit,
    permits: Permits,
    request_timeout: Duration,
}

impl Pipeline {
    fn new(audience: Audience, settings: &ServerSettings, surroundings: &Surroundings) -> Self {
        let Surroundings { health, info, services, cors } = surroundings;
        let permits = Permits {
            service: info.name,
            anybody: if settings.adaptive_concurrency {
                Limit::adaptive(settings.concurrency_limit)
            } else {
                Limit::fixed(settings.concurrency_limit)
            },
            services: Limit::fixed(settings.service_concurrency_limit),
        };
        if audience == Audience::Callers {
            metrics::show(info.name, permits.anybody.clone());
        }
        let proxies = settings.tracing_proxies.clone();
        let services = services.clone();
        Self {
            service: info.name,
            health: health.clone(),
            trusted: header_trust::TrustedCallers { proxies, services },
            // Pages have no business with operators' routes on a port of their own.
            cors: cors::layer(cors).filter(|_| audience == Audience::Callers),
            proxies: settings.trusted_proxies.clone(),
            bodies: body::Limits::new(settings),
            body_limit: DefaultBodyLimit::max(settings.body_limit),
            permits,
            request_timeout: settings.request_timeout,
        }
    }

    async fn to_open(&self, mut request: Request, route: impl Next) -> Response {
        let id = self.begin(&mut request);
        let response = match singular::fault(&request) {
            Some(problem) => problem.into_response(),
            None => panic::caught(route.run(request)).await,
        };
        self.end(id, response)
    }

    async fn to_protected(&self, mut request: Request, route: impl Next) -> Response {
        let id = self.begin(&mut request);
        let route = |request| self.traced(request, route);
        let response = cors::cors(self.cors.as_ref(), request, route).await;
        self.end(id, response)
    }

    async fn traced(&self, mut request: Request, route: impl Next) -> Response {
        let method = request.method().clone();
        let conditions = Conditions::of(&request);
        client_address::resolve(&self.proxies, &mut request);
        let route =
            |request| async { conditions.apply(panic::caught(self.limited(request, route)).await) };
        let mut response = trace::trace(self.service, request, route).await;
        protection::caching(&method, &mut response);
        response
    }

    async fn limited(&self, request: Request, route: impl Next) -> Response {
        if let Some(problem) = singular::fault(&request) {
            return problem.into_response();
        }
        let mut request = match body::whole(&self.bodies, request).await {
            Ok(request) => request,
            Err(problem) => return body::refused(problem),
        };
        let permit = match self.permits.take(&mut request) {
            Ok(permit) => permit,
            Err(problem) => return problem.into_response(),
        };
        self.body_limit.apply(&mut request);
        let response = deadline::limit(self.service, self.request_timeout, request, route).await;
        permit.leave(&response);
        response
    }

    /// What is found out about every request.
    fn begin(&self, request: &mut Request) -> RequestId {
        header_trust::find(&self.trusted, request);
        request_id::give(request)
    }

    /// What every answer says.
    fn end(&self, id: RequestId, response: Response) -> Response {
        let mut response = problems::documented(response);
        drain::close_when_draining(&self.health, &mut response);
        protection::protect(&mut response);
        request_id::give_back(id, &mut response);
        response
    }
}
