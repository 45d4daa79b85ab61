//! What an administrator may ask of and tell a running process; a service mounts the routes under
//! its own policy.
//!
//! | route | does |
//! |---|---|
//! | `GET /admin/log` | says what is logged |
//! | `PUT /admin/log` | logs something else for a while |
//! | `GET /debug` | shows how the process is set up and how it fares; off unless `[server] debug` |
//!
//! Each is about the one process that answers: in a cluster, `kubectl port-forward` to the pod.

mod debug;
mod log;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use debug::Debug;
pub(crate) use log::go_back;

/// The routes. Whoever mounts them decides who may call them.
pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    OpenApiRouter::new().routes(routes!(log::show, log::change)).routes(routes!(debug::show))
}
