//! The HTTP face: the table of routes, and what handlers share.

mod notifications;

use axum::extract::FromRef;
use chassis::Clock;
use chassis::docs::Bearer;
use messaging::{DeadLetterQueue, EventArchive};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::store::Store;

/// What handlers use. Each names in its signature the parts that it touches.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) dead_letters: DeadLetterQueue,
    pub(crate) archive: EventArchive,
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
        .merge(messaging::admin::router())
        .merge(messaging::admin::events::router())
        .merge(chassis::operator::router())
}
