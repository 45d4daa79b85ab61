//! What in `[rate_limit]` cannot work.

use std::collections::BTreeSet;
use std::time::Duration;

use auth::policy::{self, Route};
use tusk_config::ValidationError;
use utoipa::openapi::OpenApi;

use super::{By, LimitSettings, RateLimitSettings};

impl RateLimitSettings {
    /// What cannot work: limits of a route that is none of `api`'s, one that lets nothing pass, one that
    /// is there twice, one by user of a route that `is_open` to callers without a token, who would not
    /// be counted, and one by account of a route that is none of `by_account`, whose handlers count it.
    /// Nor may a route that `is_open` and changes something be left out: what anybody may have done
    /// has a limit, or an empty list, whose comment says what bounds it instead.
    pub fn check(
        &self,
        api: &OpenApi,
        by_account: &[&str],
        is_open: impl Fn(&Route) -> bool,
    ) -> Vec<ValidationError> {
        let bounds = Duration::from_millis(1)..=Duration::from_millis(500);
        let wait = ValidationError::outside("rate_limit.redis_timeout", self.redis_timeout, bounds);
        let routes = policy::routes(api);
        let of_routes = self.routes.iter().flat_map(|(route, limits)| {
            let path = format!("rate_limit.routes.{route}");
            let text = format!("{route} is no route of this service");
            let stranger = ValidationError::unless(routes.contains(route), &path, text);
            stranger.into_iter().chain(of_limits(route, &path, limits, by_account, is_open(route)))
        });
        let open = routes.iter().filter(|route| changes_something(route) && is_open(route));
        let unlimited = open.filter(|route| !self.routes.contains_key(*route)).map(unlimited);
        wait.into_iter().chain(of_routes).chain(unlimited).collect()
    }
}

fn changes_something(route: &Route) -> bool {
    let (method, _) = route.parts();
    !method.is_safe()
}

/// Anybody may call it as often as they like.
fn unlimited(route: &Route) -> ValidationError {
    let text = format!(
        "anybody may call {route}, which has no limit: \"{route}\": [{{by: address, requests: 30, per: 1h}}], \
         or [] and a comment that says what bounds it"
    );
    ValidationError::missing("rate_limit.routes", route.to_string(), text)
}

fn of_limits(
    route: &Route,
    path: &str,
    limits: &[LimitSettings],
    by_account: &[&str],
    is_open: bool,
) -> Vec<ValidationError> {
    let is_counted = by_account.contains(&&*route.to_string());
    let mut names = BTreeSet::new();
    let mut errors = Vec::new();
    for limit in limits {
        let LimitSettings { by, requests, per } = limit;
        let name = limit.name();
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 7);
        let is_whole = per.subsec_nanos() == 0;
        let text = format!("by: account: {route} names no account that is counted");
        let open = format!("by: user: anybody may call {route}, also without being counted");
        errors.extend([
            ValidationError::unless(*by != By::User || !is_open, path, open),
            ValidationError::unless(*requests > 0, path, "requests: 0 lets nothing pass"),
            ValidationError::unless(*requests <= 1_000_000, path, "requests is more than 1000000"),
            ValidationError::outside(path, *per, bounds),
            ValidationError::unless(is_whole, path, format!("per: {per:?} is not whole seconds")),
            ValidationError::unless(*by != By::Account || is_counted, path, text),
            ValidationError::unless(
                names.insert(name.clone()),
                path,
                format!("{name} is there twice"),
            ),
        ]);
    }
    errors.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use tusk_config::Loader;
    use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};
    use utoipa::openapi::{OpenApiBuilder, PathsBuilder};

    use super::*;

    const SIGN_IN: &str = "\"POST /api/sessions\"";

    /// What is told of these limits, in a service that has one route, or why they cannot be read.
    fn reported(routes: &str) -> String {
        reported_where(false, routes)
    }

    fn reported_where(is_open: bool, routes: &str) -> String {
        let text = format!(
            "[rate_limit]\nenabled: true\nredis_timeout: 50ms\n[rate_limit.routes]\n{routes}\n"
        );
        let post = OperationBuilder::new().build();
        let paths = PathsBuilder::new()
            .path("/api/sessions", PathItem::new(HttpMethod::Post, post))
            .build();
        let api = OpenApiBuilder::new().paths(paths).build();
        let config = Loader::new("").text("some-service.tsk", &text).tree().unwrap();
        let settings: RateLimitSettings = match config.get("rate_limit") {
            Ok(settings) => settings,
            Err(faults) => return faults.to_string(),
        };
        match config.check(settings.check(&api, &[], |_| is_open)) {
            Ok(()) => String::new(),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn limits_that_fit_are_accepted() {
        let two = "[{by: address, requests: 30, per: 1m}, {by: user, requests: 300, per: \"1d\"}]";
        assert_eq!(reported(&format!("{SIGN_IN}: {two}")), "");
        assert_eq!(reported(""), "");
    }

    #[test]
    fn a_limit_by_user_of_a_route_that_is_open_to_anybody_is_reported() {
        let routes = format!("{SIGN_IN}: [{{by: user, requests: 1, per: 1m}}]");
        assert_eq!(reported_where(false, &routes), "");
        let reported = reported_where(true, &routes);
        assert!(reported.contains("by: user: anybody may call POST /api/sessions"), "{reported}");
    }

    #[test]
    fn a_route_that_anybody_may_call_has_limits_or_says_that_it_has_none() {
        let reported = reported_where(true, "");
        let expected = "some-service.tsk:4:1: anybody may call POST /api/sessions, which has no limit: \
                        \"POST /api/sessions\": [{by: address, requests: 30, per: 1h}], or []";
        assert!(reported.starts_with(expected), "{reported}");
        assert_eq!(reported_where(true, &format!("{SIGN_IN}: []")), "");
        let limited = format!("{SIGN_IN}: [{{by: address, requests: 30, per: 1m}}]");
        assert_eq!(reported_where(true, &limited), "");
    }

    #[test]
    fn what_cannot_work_is_reported_at_its_place() {
        for (routes, text) in [
            ("\"POST /api/session\": []", "POST /api/session is no route of this service"),
            ("\"POST\": []", "is no route"),
            (&*format!("{SIGN_IN}: [{{by: address, requests: 0, per: 1m}}]"), "lets nothing pass"),
            (&*format!("{SIGN_IN}: [{{by: user, requests: 1, per: 0s}}]"), "is not within"),
            (&*format!("{SIGN_IN}: [{{by: user, requests: 1, per: 1500ms}}]"), "whole seconds"),
            (&*format!("{SIGN_IN}: [{{by: account, requests: 1, per: 1m}}]"), "names no account"),
            (&*format!("{SIGN_IN}: [{{by: planet, requests: 1, per: 1m}}]"), "planet"),
            (&*format!("{SIGN_IN}: [{{by: user, request: 1, per: 1m}}]"), "request"),
            (
                &*format!(
                    "{SIGN_IN}: [{{by: user, requests: 1, per: 1m}}, {{by: user, requests: 2, per: 60s}}]"
                ),
                "user-1m is there twice",
            ),
        ] {
            let reported = reported(routes);
            assert!(reported.contains(text), "{routes}: {reported}");
            assert!(reported.starts_with("some-service.tsk:5:"), "{routes}: {reported}");
        }
    }
}
