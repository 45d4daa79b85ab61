//! The HTTP interface: the table of routes, and what handlers share.

mod exports;
mod payments;
mod wait;

use axum::extract::FromRef;
use chassis::Clock;
use chassis::docs::Bearer;
use service_client::ServiceClient;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::IdempotencySettings;
use crate::store::Store;

/// What handlers use. Each names in its signature the parts that it touches.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) store: Store,
    pub(crate) users: ServiceClient,
    pub(crate) idempotency: IdempotencySettings,
    pub(crate) clock: Clock,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "payment-service", description = "Takes users' money, once."),
    modifiers(&Bearer)
)]
struct Document;

/// All routes of the service, each with its part of the document.
pub(crate) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(payments::pay, payments::list))
        .routes(routes!(payments::customer))
        .routes(routes!(payments::show))
        .routes(routes!(exports::export))
}
