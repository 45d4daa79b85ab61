//! The routes that need no token, all of them, and the listener that has each.
//!
//! | route | public | management |
//! |---|---|---|
//! | `/live`, `/ready` | yes | |
//! | `/health` | its status alone | with what was checked, versions and latencies |
//! | `/problems/{kind}` | yes | yes |
//! | `/metrics`, `/openapi.json`, `/docs` | | yes |
//!
//! Where both are one listener, it has what is in either column, and all of `/health`. Every other
//! route has a guard in front of it, see [`Protected`](crate::Protected).

use axum::Router;
use axum::routing::get;
use http::header;
use telemetry::metrics;
use utoipa::openapi::OpenApi;

use crate::docs;
use crate::health::{self, Health};
use crate::problem::pages;

/// For callers, balancers and kubelets.
pub(crate) fn public(health: &Health) -> Router {
    probes(health)
        .merge(Router::new().route("/health", get(health::status)).with_state(health.clone()))
        .merge(pages::router())
}

/// For operators: Prometheus and people.
pub(crate) fn management(health: &Health, api: OpenApi) -> Router {
    Router::new()
        .route("/health", get(health::details))
        .with_state(health.clone())
        .route("/metrics", get(metrics_text))
        .merge(docs::router(docs::complete(api)))
        .merge(pages::router())
}

/// For all of them.
pub(crate) fn shared(health: &Health, api: OpenApi) -> Router {
    probes(health).merge(management(health, api))
}

fn probes(health: &Health) -> Router {
    let routes =
        Router::new().route("/live", get(health::live)).route("/ready", get(health::ready));
    routes.with_state(health.clone())
}

async fn metrics_text() -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render())
}
