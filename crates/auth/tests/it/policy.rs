//! Who may call which route, decided before the handler.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use auth::policy::{Policy, PolicySettings, protect};
use auth::{Caller, CallerService, KeyRing, Role, Tokens, User};
use axum::body::Body;
use axum::response::Response;
use chassis::Clock;
use http::{Method, Request, StatusCode};
use tower::ServiceExt;
use tusk_config::{Loader, Vars};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::fixture::{Folder, auth, clock, ed25519, tokens};
use crate::keys::Remote;

#[derive(Debug, serde::Deserialize)]
struct Settings {
    policy: PolicySettings,
}

const RULES: &str = r#"
[policy.user-service]
"GET /open": anybody
"GET /things": [user, payment-service]
"POST /things": admin
"DELETE /things/{id}": service

[policy.payment-service]
"GET /nothing": user

[policy.notification-service]
"#;

pub(crate) fn rules(text: &str) -> Result<PolicySettings, tusk_config::Errors> {
    let loader = Loader::new("config").text("config/auth.tsk", text).vars(Vars::empty());
    loader.load::<Settings>().map(|settings| settings.policy)
}

#[utoipa::path(get, path = "/open", responses((status = 200)))]
async fn open(caller: Option<Known>) -> String {
    format!("{:?}", caller.map(|known| known.0))
}
#[utoipa::path(get, path = "/things", responses((status = 200)))]
async fn list(caller: Caller) -> String {
    format!("{caller:?}")
}
#[utoipa::path(post, path = "/things", responses((status = 200)))]
async fn create(user: User) -> String {
    format!("{user:?}")
}
#[utoipa::path(delete, path = "/things/{id}", responses((status = 200)))]
async fn delete(service: CallerService) -> String {
    service.name
}

/// A caller, when there is one: for a route that answers either way.
struct Known(Caller);

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for Known {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        use axum::extract::FromRequestParts;
        Ok(Caller::from_request_parts(parts, state).await.ok().map(Self))
    }
}

fn router() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(list, create)).routes(routes!(delete))
}

struct Server {
    router: axum::Router,
    clock: Clock,
}

impl Server {
    fn new() -> Self {
        let clock = clock();
        let tokens = tokens("user-service", &clock);
        let rules = rules(RULES).unwrap();
        let [protected] = protect([router()], "user-service", &rules, &tokens).unwrap();
        Self { router: protected.into_parts().0, clock }
    }

    fn user(&self, role: Role) -> String {
        let tokens = tokens("user-service", &self.clock);
        bearer(&tokens.for_user(Uuid::nil(), role, Uuid::nil()).unwrap())
    }

    fn service(&self, name: &'static str) -> String {
        bearer(&tokens(name, &self.clock).for_service("user-service").unwrap())
    }

    async fn call(&self, method: Method, path: &str, authorization: &[&str]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for value in authorization {
            request = request.header("authorization", *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, method: Method, path: &str, authorization: &[&str]) -> u16 {
        self.call(method, path, authorization).await.status().as_u16()
    }
}

pub(crate) fn bearer(token: &auth::Token) -> String {
    format!("Bearer {}", token.value.expose())
}

#[tokio::test]
async fn every_caller_gets_through_to_what_the_rules_name_and_to_nothing_else() {
    let server = Server::new();
    let allow = server.call(Method::PUT, "/things", &[]).await.headers()["allow"].clone();
    assert_eq!(allow, "GET, HEAD, POST");
    let callers = [
        ("nobody", String::new()),
        ("user", server.user(Role::User)),
        ("admin", server.user(Role::Admin)),
        ("payment-service", server.service("payment-service")),
        ("notification-service", server.service("notification-service")),
    ];
    let expected = [
        (Method::GET, "/open", [200, 200, 200, 200, 200]),
        (Method::HEAD, "/open", [200, 200, 200, 200, 200]),
        (Method::GET, "/things", [401, 200, 200, 200, 403]),
        (Method::HEAD, "/things", [401, 200, 200, 200, 403]),
        (Method::POST, "/things", [401, 403, 200, 403, 403]),
        (Method::DELETE, "/things/7", [401, 403, 403, 200, 200]),
        (Method::PUT, "/things", [405, 405, 405, 405, 405]),
        (Method::GET, "/things/7/8", [404, 404, 404, 404, 404]),
    ];
    for (method, path, statuses) in expected {
        for ((who, token), expected) in callers.iter().zip(statuses) {
            let authorization: Vec<&str> =
                Some(token.as_str()).filter(|t| !t.is_empty()).into_iter().collect();
            let status = server.status(method.clone(), path, &authorization).await;
            assert_eq!(status, expected, "{method} {path} by {who}");
        }
    }
}

#[tokio::test]
async fn a_deadline_counts_when_a_service_states_it_and_from_nobody_else() {
    let server = Server::new();
    let of = |deadline: &'static str, token: String| {
        let request = Request::get("/open").header("x-deadline-ms", deadline);
        let request = request.header("authorization", token).body(Body::empty()).unwrap();
        let router = server.router.clone();
        async move { router.oneshot(request).await.unwrap().status().as_u16() }
    };
    for stranger in [String::new(), "Bearer nonsense".to_owned(), server.user(Role::Admin)] {
        assert_eq!(of("0", stranger).await, 200);
    }
    let service = || server.service("payment-service");
    assert_eq!(of("0", service()).await, 503);
    assert_eq!(of("60000", service()).await, 200);
}

#[tokio::test]
async fn a_refusal_for_want_of_a_caller_says_how_to_come() {
    let server = Server::new();
    let user = server.user(Role::User);
    let other = server.user(Role::Admin);
    let later = Server::new();
    later.clock.advance(std::time::Duration::from_secs(7200));
    let early = later.user(Role::User);
    for bad in [
        vec!["Bearer nonsense"],
        vec!["Basic dXNlcjpwYXNz"],
        vec!["Bearer"],
        vec![early.as_str()],
        vec![user.as_str(), other.as_str()],
    ] {
        let answer = server.call(Method::GET, "/things", &bad).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{bad:?}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        assert_eq!(server.status(Method::GET, "/open", &bad).await, 200, "{bad:?}");
    }
    let lower = user.replace("Bearer", "bearer");
    assert_eq!(server.status(Method::GET, "/things", &[&lower]).await, 200);
}

#[tokio::test(start_paused = true)]
async fn while_there_are_no_keys_yet_nobody_is_blamed_and_open_routes_are_open() {
    let clock = clock();
    let folder = Folder::new();
    let remote = Remote::default();
    folder.put("1.pem", &ed25519(), std::time::Duration::from_secs(600));
    let of = |ring| Tokens::new(&auth(), ring, "user-service", clock.clone());
    let issuer = folder.ring("EdDSA", &clock);
    let token = of(issuer.clone()).for_user(Uuid::nil(), Role::User, Uuid::nil()).unwrap();
    let token = bearer(&token);
    let ring = KeyRing::remote(&folder.settings("EdDSA"), remote.clone(), clock.clone());
    let routes = protect([router()], "user-service", &rules(RULES).unwrap(), &of(ring.clone()));
    let [routes] = routes.unwrap();
    let router = routes.into_parts().0;
    let server = Server { router, clock: clock.clone() };
    let answer = server.call(Method::GET, "/things", &[&token]).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    let asked = remote.asked.load(Ordering::SeqCst);
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    assert_eq!(server.status(Method::GET, "/open", &[&token]).await, 200);
    assert_eq!(remote.asked.load(Ordering::SeqCst), asked, "an open route waits for no keys");
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    *remote.set.lock().unwrap() = Some(issuer.jwks());
    ring.read_again().await;
    assert_eq!(server.status(Method::GET, "/things", &[&token]).await, 200);
}

#[tokio::test]
async fn an_open_route_knows_which_user_calls_and_a_service_is_anybody_there() {
    let server = Server::new();
    let body = async |authorization: &[&str]| {
        let answer = server.call(Method::GET, "/open", authorization).await;
        let bytes = axum::body::to_bytes(answer.into_body(), 1024).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    assert_eq!(body(&[]).await, "None");
    assert!(body(&[&server.user(Role::User)]).await.contains("User"));
    assert_eq!(body(&[&server.service("payment-service")]).await, "None");
}

#[tokio::test]
async fn a_route_without_a_policy_in_front_answers_an_internal_error() {
    let router = router().split_for_parts().0;
    let server = Server { router, clock: clock() };
    let user = server.user(Role::User);
    assert_eq!(server.status(Method::GET, "/things", &[&user]).await, 500);
}

#[tokio::test]
async fn a_route_outside_the_document_is_denied_to_everybody() {
    let clock = clock();
    let hidden = router().route("/hidden", axum::routing::get(async || "secret"));
    let tokens = tokens("user-service", &clock);
    let [hidden] = protect([hidden], "user-service", &rules(RULES).unwrap(), &tokens).unwrap();
    let server = Server { router: hidden.into_parts().0, clock };
    for token in [server.user(Role::Admin), server.service("payment-service")] {
        assert_eq!(server.status(Method::GET, "/hidden", &[&token]).await, 403);
    }
}

#[tokio::test]
async fn one_policy_stands_in_front_of_every_part_of_the_routes() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let parts = [
        OpenApiRouter::new().routes(routes!(open)),
        OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete)),
    ];
    let [first, second] = protect(parts, "user-service", &rules(RULES).unwrap(), &tokens).unwrap();
    let first = Server { router: first.into_parts().0, clock: clock.clone() };
    let second = Server { router: second.into_parts().0, clock };
    assert_eq!(first.status(Method::GET, "/open", &[]).await, 200);
    assert_eq!(second.status(Method::POST, "/things", &[]).await, 401);
    assert_eq!(second.status(Method::POST, "/things", &[&second.user(Role::User)]).await, 403);
    assert_eq!(second.status(Method::POST, "/things", &[&second.user(Role::Admin)]).await, 200);
}

#[test]
fn rules_and_routes_that_do_not_fit_are_all_named_at_start() {
    let text = RULES
        .replace("\"POST /things\": admin\n", "")
        .replace("/things/{id}", "/things/{key}")
        .replace("[user, payment-service]", "[user, paymnt-service]");
    let error = Policy::new("user-service", &rules(&text).unwrap(), &router().into_openapi());
    assert_eq!(
        error.unwrap_err().to_string(),
        "[policy.user-service] of auth.tsk does not fit the routes:\n  \
         POST /things has no rule: who may call it, such as \"POST /things\": user\n  \
         DELETE /things/{id} has no rule: who may call it, such as \"DELETE /things/{id}\": user\n  \
         DELETE /things/{key} is no route: a new one is mounted by `.routes(routes!(…))` in the service's src/routes.rs\n  \
         GET /things names paymnt-service, which is no service"
    );
    let none = BTreeMap::new();
    let error = Policy::new("user-service", &none, &router().into_openapi()).unwrap_err();
    assert_eq!(error.to_string().matches("has no rule").count(), 4);
}

#[test]
fn a_rule_that_cannot_be_read_is_a_fault_with_its_place() {
    let error = |from: &str, to: &str| rules(&RULES.replace(from, to)).unwrap_err().to_string();
    for (from, to, expected) in [
        ("anybody", "evrybody", "config/auth.tsk:3:14: "),
        ("anybody", "\"two words\"", "config/auth.tsk:3:14: "),
        ("[user, payment-service]", "[user, Payment]", "config/auth.tsk:4:"),
        ("[user, payment-service]", "[]", "config/auth.tsk:4:"),
        ("anybody", "7", "config/auth.tsk:3:14: "),
        ("GET /open", "get /open", "config/auth.tsk:3:1"),
        ("GET /open", "/open", "config/auth.tsk:3:1"),
        ("GET /open", "GET open", "config/auth.tsk:3:1"),
    ] {
        let error = error(from, to);
        assert!(error.starts_with(expected), "{to}: {error}");
    }
}
