//! `/openapi.json` and `/docs`: the API's document, and Swagger UI, which the binary bears compressed.

mod complete;
mod shapes;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::next::{Next, around};

pub use complete::complete;

/// The security scheme of our own tokens.
pub const BEARER: &str = "bearer";
/// Swagger UI's own files, compressed as gzip does it (build.rs).
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const JAVASCRIPT: &str = "text/javascript";

/// Adds the security scheme `bearer`, which routes name: `modifiers(&Bearer)`.
pub struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "The `access_token` of `POST /api/sessions`, or a service's token. Where it is narrowed it must \
                 carry the scopes that a route names.",
            ))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
}

/// Adds the security scheme `basic`: a service's name and its own secret.
pub struct Basic;

impl utoipa::Modify for Basic {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some("A service's name and its own secret, each form-encoded."))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("basic", SecurityScheme::Http(scheme));
    }
}

pub(crate) fn router(api: OpenApi) -> Router {
    let api = Arc::new(api);
    let page = get(async || Html(include_str!("docs/page.html")));
    let start = ([(CONTENT_TYPE, JAVASCRIPT)], include_str!("docs/page.js"));
    Router::new()
        .route("/openapi.json", get(async move || Json(api)))
        .route("/docs", get(async || Redirect::to("/docs/")))
        .route("/docs/", page.clone())
        .route("/docs/index.html", page)
        .route("/docs/page.js", get(start))
        .route("/docs/swagger-ui-bundle.js", get(compressed(JAVASCRIPT, SCRIPT)))
        .route("/docs/swagger-ui.css", get(compressed("text/css", STYLE)))
        .layer(around(page_policy))
}

/// A file that is sent as it is stored, whoever asks: no browser is without gzip.
fn compressed(kind: &'static str, bytes: &'static [u8]) -> impl IntoResponse + Clone {
    ([(CONTENT_TYPE, kind), (CONTENT_ENCODING, "gzip")], bytes)
}

/// Swagger UI runs its own scripts and asks this service alone. It puts styles into its elements,
/// which is why inline ones are let in; scripts are not. Nobody frames the page, which has a field for
/// tokens.
async fn page_policy(request: Request, next: impl Next) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                          img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
    let mut response = next.run(request).await;
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}
