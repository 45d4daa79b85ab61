//! Nothing of a router is reached past the guard in front of it.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use chassis::Next;
use chassis::{Guard, Problem, Protected};
use utoipa_axum::router::OpenApiRouter;

use crate::{TestApp, builder, settings};

/// Lets nobody pass.
#[derive(Clone)]
struct Nobody;

impl Guard for Nobody {
    async fn decide(&self, _: Request, _: impl Next) -> Response {
        Problem::forbidden().into_response()
    }
}

#[tokio::test]
async fn a_guard_stands_in_front_of_routes_services_and_fallbacks() {
    let secret = async || "secret";
    let routes = Router::new()
        .route("/route", get(secret))
        .route("/method", get(secret).fallback(secret))
        .route_service("/service", any(secret))
        .nest("/nested", Router::new().route("/route", get(secret)).fallback(secret))
        .fallback(secret)
        .method_not_allowed_fallback(secret);
    let routes = Protected::by(Nobody, OpenApiRouter::from(routes));
    let app = TestApp::run(builder(settings()).routes(routes)).await;
    for path in ["/route", "/method", "/service", "/nested/route", "/nested/x", "/nowhere"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let request = app.http.request(method.parse().unwrap(), app.url(path));
            let answer = request.send().await.unwrap();
            assert!(matches!(answer.status().as_u16(), 403 | 404), "{method} {path}: {answer:?}");
            assert!(!answer.text().await.unwrap().contains("secret"), "{method} {path}");
        }
    }
}
