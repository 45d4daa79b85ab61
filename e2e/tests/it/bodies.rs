//! Every JSON body of every route is an object.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::ServiceProcess;
use uuid::Uuid;

use crate::system::{Ground, System, administrator, token};

#[tokio::test]
async fn no_route_takes_a_body_that_is_no_object() {
    let ground = Ground::lay().await;
    let variables = ground.environment(0);
    let system = ground.start(variables.clone()).await;
    let user = system.somebody().await;
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
    let mut asked = 0;
    for service in [&system.users, &system.payments, &system.notifications] {
        let queue = format!("{}.events", service.name());
        let caller = token(&variables, &["service", "payment-service", "--for", service.name()]);
        let tokens = [user.token.clone(), administrator(&variables), caller];
        for (method, path) in routes_with_bodies(&system, service).await {
            let url = service.url(&path.replace("{id}", &user.id).replace("{queue}", &queue));
            for body in &others {
                let mut statuses = Vec::new();
                for token in &tokens {
                    let request = system.request(method.clone(), &url).bearer_auth(token);
                    let request = request.header("if-match", "\"1\"");
                    let request = request.header("idempotency-key", Uuid::now_v7().to_string());
                    statuses.push(request.json(body).send().await.unwrap().status());
                }
                let let_in = statuses.iter().filter(|status| **status != StatusCode::FORBIDDEN);
                let let_in: Vec<_> = let_in.collect();
                let refused = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
                let all = let_in.iter().all(|status| refused.contains(status));
                assert!(all && !let_in.is_empty(), "{method} {url} {body}: {statuses:?}");
                asked += 1;
            }
        }
    }
    assert!(asked >= 12 * others.len(), "{asked} requests were made");
    assert_eq!(system.get(&system.users.url("/api/users/me"), &user.token).await, before);
    assert!(system.simulator.charges().is_empty());
}

/// The routes of a service that take JSON, as its document says them.
async fn routes_with_bodies(system: &System, service: &ServiceProcess) -> Vec<(Method, String)> {
    let request = system.request(Method::GET, &service.url("/openapi.json"));
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"]["content"].get("application/json").is_some() {
                routes.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    routes
}
