//! The HTTP interface: the table of routes, and what handlers share.

mod exports;
mod notifications;

use axum::extract::FromRef;
use chassis::Clock;
use chassis::docs::Bearer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::store::Store;

/// What handlers use. Each names in its signature the parts that it touches.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "notification-service", description = "Tells users what happened to them."),
    modifiers(&Bearer)
)]
struct Document;

/// All routes of the service, each with its part of the document.
pub(crate) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(notifications::list, notifications::create))
        .routes(routes!(notifications::show))
        .routes(routes!(exports::export))
}
