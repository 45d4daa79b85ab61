//! The scopes of rules in the API's document: a route's `security` names what a token must carry.

use chassis::docs::BEARER;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;

use super::{PolicySettings, Route, scope_of};

/// Says in the document of a service's routes which scope each of those that ask for a token needs, before those that
/// its handler names there. With `bearer`, OpenAPI 3.1 has names there that are exchanged elsewhere (section 4.8.30).
#[must_use]
pub fn with_scopes<S: Clone + Send + Sync + 'static>(
    mut routes: OpenApiRouter<S>,
    service: &str,
    settings: &PolicySettings,
) -> OpenApiRouter<S> {
    let rules = settings.get(service);
    for (path, item) in &mut routes.get_openapi_mut().paths.paths {
        for (method, operation) in operations(item) {
            let route = Route::new(method, path);
            let rule = rules.and_then(|rules| rules.get(&route));
            let scope = rule.and_then(|rule| scope_of(service, &route.parts().0, rule));
            if let (Some(scope), Some(more)) = (scope, named(operation)) {
                let needed = [scope.to_string()].into_iter().chain(more);
                operation.security = Some(vec![SecurityRequirement::new(BEARER, needed)]);
            }
        }
    }
    routes
}

/// The scopes that a handler names where it asks for a token.
fn named(operation: &Operation) -> Option<Vec<String>> {
    let needed = serde_json::to_value(operation.security.as_ref()?).ok()?;
    let bearer = needed.as_array()?.iter().find_map(|needed| needed.get(BEARER))?;
    serde_json::from_value(bearer.clone()).ok()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    let all = [
        ("GET", get),
        ("PUT", put),
        ("POST", post),
        ("DELETE", delete),
        ("OPTIONS", options),
        ("HEAD", head),
        ("PATCH", patch),
        ("TRACE", trace),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
