//! `/openapi.json` and `/docs`: the API's document, and Swagger UI with its assets in the binary.

mod complete;
mod shapes;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_SECURITY_POLICY;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

pub use complete::complete;

/// The security scheme of our own tokens.
const BEARER: &str = "bearer";

/// Adds the security scheme `bearer`, which routes name: `modifiers(&Bearer)`.
pub struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` of `POST /api/sessions`, or a service's token."))
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
    Router::from(SwaggerUi::new("/docs").url("/openapi.json", api)).layer(from_fn(page_policy))
}

/// Swagger UI runs its own scripts and asks this service alone. It puts styles into its elements,
/// which is why inline ones are let in; scripts are not. Nobody frames the page, which has a field for
/// tokens.
async fn page_policy(request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                          img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
    let mut response = next.run(request).await;
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}
