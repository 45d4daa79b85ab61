//! `/openapi.json` and `/docs`: the API's document, and Swagger UI with its assets in the binary.

mod complete;
mod shapes;

use axum::Router;
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
    SwaggerUi::new("/docs").url("/openapi.json", api).into()
}
