//! Who may call what: every route of every running service, called by everybody.
//!
//! The golden file is `[policy]` of auth.tsk as callers meet it. When a change of it is meant, run
//! `UPDATE_GOLDEN=1 cargo dev test -- -p e2e policy` and look at the difference.

use std::process::Command;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use testkit::{Environment, ServiceProcess, binary};
use uuid::Uuid;

use crate::system::{Ground, System};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/policy.txt");
const CALLERS: [&str; 6] =
    ["nobody", "user", "admin", "user-service", "payment-service", "notification-service"];

#[tokio::test]
async fn every_route_lets_in_whom_the_policy_names_and_nobody_else() {
    let ground = Ground::lay().await;
    let variables = ground.environment(0);
    let system = ground.start(variables.clone()).await;
    let mut table = line("", &CALLERS);
    for service in [&system.users, &system.payments, &system.notifications] {
        let tokens = CALLERS.map(|caller| token(&variables, caller, service.name()));
        for (method, path) in routes(&system, service).await {
            let mut outcomes = Vec::new();
            for token in &tokens {
                let url = service.url(&path.replace("{id}", &Uuid::now_v7().to_string()));
                let request = system.request(method.clone(), &url);
                let request = token.iter().fold(request, RequestBuilder::bearer_auth);
                outcomes.push(outcome(&request.send().await.unwrap()));
            }
            table += &line(&format!("{} {method} {path}", service.name()), &outcomes);
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert_eq!(table, golden, "{GOLDEN} says otherwise; found:\n{table}");
}

fn line(route: &str, cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:21}")).collect();
    format!("{}\n", format!("{route:60}{}", cells.concat()).trim_end())
}

/// The policy's own answers. Whatever a handler says comes from behind it, so the caller passed:
/// `POST /oauth/token` has a 401 of its own, for Basic.
fn outcome(answer: &Response) -> &'static str {
    let scheme = answer.headers().get("www-authenticate");
    match answer.status().as_u16() {
        500.. => panic!("a fault is no answer of the policy: {answer:?}"),
        401 if scheme.is_some_and(|scheme| scheme == "Bearer") => "401",
        403 => "403",
        _ => "pass",
    }
}

/// The routes of a service, as its document says them.
async fn routes(system: &System, service: &ServiceProcess) -> Vec<(Method, String)> {
    let request = system.request(Method::GET, &service.url("/openapi.json"));
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if let Ok(method) = method.to_uppercase().parse() {
                routes.push((method, path.clone()));
            }
        }
    }
    assert!(!routes.is_empty(), "{document}");
    routes
}

/// A caller's token for a service, by user-service's own command.
fn token(variables: &Environment, caller: &str, target: &str) -> Option<String> {
    let id = Uuid::now_v7().to_string();
    let words = match caller {
        "nobody" => return None,
        "user" => vec!["token", "user", "--id", &id],
        "admin" => vec!["token", "user", "--id", &id, "--role", "admin"],
        service => vec!["token", "service", service, "--for", target],
    };
    let mut command = Command::new(binary("user-service"));
    let output = command.args(words).env_clear().envs(variables).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}
