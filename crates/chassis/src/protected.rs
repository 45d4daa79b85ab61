//! Routes with a policy in front of them: the only ones that an [`App`](crate::App) takes.
//!
//! What needs no policy are the chassis' own routes for probes and operators, all of which are in
//! [`open`](crate::open).

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::next::{Next, around};

/// Decides which requests reach a route. The crate `auth` has the one that services use.
pub trait Guard: Send + Sync + 'static {
    /// Goes on with a request that may pass, which `next` does; answers every other one.
    ///
    /// It comes after routing: the route's template is in the request's extensions as
    /// [`MatchedPath`], and what is no route never gets here.
    fn decide(&self, request: Request, next: impl Next) -> impl Future<Output = Response> + Send;
}

/// Routes that a [`Guard`] stands in front of. There is no other way to make one, so that a router
/// without a policy does not compile:
///
/// ```compile_fail,E0308
/// # fn start(info: chassis::ServiceInfo, settings: chassis::ServerSettings) {
/// use utoipa_axum::router::OpenApiRouter;
///
/// let app = chassis::App::builder(info, settings).routes(OpenApiRouter::new());
/// # }
/// ```
///
/// It does with one:
///
/// ```
/// use axum::extract::Request;
/// use axum::response::{IntoResponse, Response};
/// use chassis::{Guard, Next, Problem, Protected};
/// use utoipa_axum::router::OpenApiRouter;
///
/// struct Nobody;
///
/// impl Guard for Nobody {
///     async fn decide(&self, _: Request, _: impl Next) -> Response {
///         Problem::forbidden().into_response()
///     }
/// }
///
/// # fn start(info: chassis::ServiceInfo, settings: chassis::ServerSettings) {
/// let routes = Protected::by(Nobody, OpenApiRouter::new());
/// let app = chassis::App::builder(info, settings).routes(routes);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Protected {
    router: Router,
    api: OpenApi,
}

impl Protected {
    /// Puts `guard` in front of each of these routes. What they have besides, such as a fallback of a
    /// nested router, is reached by nobody: it is no route, so that no guard knows of it.
    pub fn by<G: Guard>(guard: G, routes: OpenApiRouter) -> Self {
        let (router, api) = routes.split_for_parts();
        let guard = Arc::new(guard);
        let guard = around(move |request: Request, route| {
            let guard = guard.clone();
            async move {
                if request.extensions().get::<MatchedPath>().is_none() {
                    return StatusCode::NOT_FOUND.into_response();
                }
                guard.decide(request, route).await
            }
        });
        Self { router: router.layer(guard), api }
    }

    /// The routes behind their guard, and their document.
    pub fn into_parts(self) -> (Router, OpenApi) {
        (self.router, self.api)
    }
}
