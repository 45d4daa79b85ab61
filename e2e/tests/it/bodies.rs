//! Every JSON body of every route is an object, and says that it is JSON.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::{Environment, ServiceProcess};
use uuid::Uuid;

use crate::system::{Fixture, Signed, System, administrator, token, without_an_issuer_to_ask};

/// A route that takes JSON, and who calls it: a user, an administrator, a service.
struct Route {
    method: Method,
    url: String,
    tokens: [String; 3],
}

impl Route {
    /// What each caller is told whom the policy lets in, with a request that `finish` has completed.
    async fn statuses(
        &self,
        system: &System,
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Vec<StatusCode> {
        let mut statuses = Vec::new();
        for token in &self.tokens {
            let request = system.request(self.method.clone(), &self.url).bearer_auth(token);
            let request = request.header("if-match", "\"1\"");
            let request = request.header("idempotency-key", Uuid::now_v7().to_string());
            statuses.push(finish(request).send().await.unwrap().status());
        }
        statuses.retain(|status| *status != StatusCode::FORBIDDEN);
        assert!(!statuses.is_empty(), "{} {} lets in nobody", self.method, self.url);
        statuses
    }
}

#[tokio::test]
async fn no_route_takes_a_body_that_is_no_object() {
    let (system, user, routes) = start().await;
    let before = system.get(&system.users.url("/api/users/me"), &user.token).await;
    let others = [
        json!([]),
        json!([null, null]),
        json!([777, "EUR", "pm_card_visa"]),
        json!(["array@example.com", "Array", "a-password-for-trying-things"]),
        json!([before["email"], "correct horse battery"]),
        json!(["evil@example.com", "Evil"]),
        json!(["info", 60]),
        json!([{}, "confirmation"]),
        json!([user.id, "Subject", "Text"]),
        json!(null),
        json!(7),
        json!("text"),
    ];
    for Route { method, url, .. } in &routes {
        assert!(!url.contains('{'), "{method} {url}");
    }
    for route in &routes {
        for body in &others {
            let statuses = route.statuses(&system, |request| request.json(body)).await;
            let refused = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
            let all = statuses.iter().all(|status| refused.contains(status));
            assert!(all, "{} {} {body}: {statuses:?}", route.method, route.url);
        }
    }
    assert_eq!(system.get(&system.users.url("/api/users/me"), &user.token).await, before);
    assert!(system.simulator.charges().is_empty());
}

#[tokio::test]
async fn no_route_takes_a_body_of_another_media_type_or_of_two() {
    let (system, _, routes) = start().await;
    for route in &routes {
        for (types, expected) in [
            (&["application/json-patch+json"][..], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (&["application/vnd.api+json"], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (&["text/plain"], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (&[], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (&["application/json", "text/plain"], StatusCode::BAD_REQUEST),
        ] {
            let finish = |request: RequestBuilder| {
                let request =
                    types.iter().fold(request, |all, kind| all.header("content-type", *kind));
                request.body("{}")
            };
            let statuses = route.statuses(&system, finish).await;
            let all = statuses.iter().all(|status| *status == expected);
            assert!(all, "{} {} {types:?}: {statuses:?}", route.method, route.url);
        }
    }
}

/// A system, somebody who is signed in, and the routes of all services that take JSON.
async fn start() -> (System, Signed, Vec<Route>) {
    let fixture = Fixture::set_up().await;
    let mut variables = fixture.environment(0);
    variables.extend(without_an_issuer_to_ask());
    let system = fixture.start(variables.clone()).await;
    let user = system.new_user().await;
    let mut routes = Vec::new();
    for service in [&system.users, &system.payments, &system.notifications] {
        routes.extend(routes_with_bodies(&system, service, &variables, &user).await);
    }
    assert!(routes.len() >= 12, "{} routes take JSON", routes.len());
    (system, user, routes)
}

/// The routes of a service that take JSON, as its document says them.
async fn routes_with_bodies(
    system: &System,
    service: &ServiceProcess,
    variables: &Environment,
    user: &Signed,
) -> Vec<Route> {
    let queue = format!("{}.events", service.name());
    let caller = token(variables, &["service", "payment-service", "--for", service.name()]);
    let tokens = [user.token.clone(), administrator(variables), caller];
    let request = system.request(Method::GET, &service.url("/openapi.json"));
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"]["content"].get("application/json").is_some() {
                let method = method.to_uppercase().parse().unwrap();
                let path = path.replace("{id}", &user.id).replace("{queue}", &queue);
                let url = service.url(&path.replace("{target}", "user-service"));
                routes.push(Route { method, url, tokens: tokens.clone() });
            }
        }
    }
    routes
}
