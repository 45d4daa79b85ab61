//! The HTTP interface: the table of routes, and what handlers share.

mod samples;

use axum::extract::FromRef;
use chassis::Clock;
use chassis::docs::Bearer;
use service_client::ServiceClient;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::store::Store;

/// What handlers use. Each names in its signature the parts that it touches.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) store: Store,
    pub(crate) users: ServiceClient,
    pub(crate) clock: Clock,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "sample-service", description = "Keeps what users make."),
    modifiers(&Bearer)
)]
struct Document;

/// All routes of the service, each with its part of the document.
pub(crate) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(samples::create))
        .routes(routes!(samples::show, samples::close))
}
