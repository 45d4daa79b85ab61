//! Messages: queues, dead letters, outboxes and what was sent.
use crate::app::App;
use axum::Router;
pub(crate) fn router() -> Router<App> {
    Router::new()
}
