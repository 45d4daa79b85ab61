//! `/openapi.json` and `/docs`: the API's document, and Swagger UI with its assets in the binary.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_SECURITY_POLICY;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

/// Adds the security scheme `bearer`, which routes name: `modifiers(&Bearer)`.
pub struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components.get_or_insert_default().add_security_scheme("bearer", scheme);
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
