//! Pages and forms over a system's folder, with a program in the place of the tool that says what it is
//! told.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;

use super::testing::{Fixture, fixture_with, request};
use crate::protection::form_token;

/// A dashboard of a system that was started and is gone, whose tool is this script.
fn gone(script: &str) -> Fixture {
    let fixture = fixture_with(script);
    fixture.write("state.json", include_str!("tests/state.json"));
    assert!(fixture.app.system.look_again());
    fixture
}

async fn post(fixture: &Fixture, path: &str, fields: &str) -> Response {
    let form = [(header::CONTENT_TYPE, "application/x-www-form-urlencoded")];
    let mut request = request(path).method("POST").body(Body::from(fields.to_owned())).unwrap();
    request.headers_mut().extend(form.map(|(name, value)| (name, value.parse().unwrap())));
    fixture.send(request).await
}

/// The page once it holds this text.
async fn page_with(fixture: &Fixture, path: &str, text: &str) -> String {
    for _ in 0..400 {
        let page = fixture.get(path).await;
        if page.contains(text) {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path} does not say {text}: {}", fixture.get(path).await);
}

#[tokio::test]
async fn pages_answer_while_services_and_servers_do_not() {
    let fixture = gone("exit 1");
    let page = fixture.get("/").await;
    assert!(page.contains("✗ ended") && page.contains("○ stopped"), "{page}");
    assert!(page.contains("management API does not answer"), "{page}");
    assert!(!page.contains("canary"), "a login: {page}");
    for (path, says) in [
        ("/calls", "no administrator"),
        ("/settings", "✗ user-service: it has ended"),
        ("/faults", "✓ Nothing goes wrong on purpose."),
    ] {
        let page = fixture.get(path).await;
        assert!(page.contains(says), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_fault_is_begun_by_the_tool_marked_on_the_graph_and_ended() {
    let fixture = gone(r#"echo "told: $*""#);
    let begun = post(&fixture, "/faults/begin", "fault=slow+redis&by=300ms&for=30s").await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    assert_eq!(begun.headers()[header::LOCATION], "/faults#commands");
    let page = page_with(&fixture, "/faults", "told: fault slow redis --by 300ms --for 30s").await;
    assert!(page.contains("✓ done:"), "{page}");

    let fault = r#"{"faults": [{"target": "redis", "kind": "slow", "by_ms": 300, "since_ms": 1}]}"#;
    fixture.write("faults.json", fault);
    let graph = fixture.get("/").await;
    assert!(graph.contains("⚡ slow by 300 ms"), "{graph}");
    let ended = post(&fixture, "/faults/stop", "target=redis").await;
    assert_eq!(ended.status(), StatusCode::SEE_OTHER);
    page_with(&fixture, "/faults", "told: fault stop redis").await;

    for (path, fields) in [("/faults/begin", "fault=freeze+--all"), ("/faults/stop", "target=x")] {
        let refused = post(&fixture, path, fields).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{fields}");
    }
    // A browser that has the cookie, and a form of a page elsewhere.
    let token = &fixture.app.settings.token;
    let cookie = request("/faults/stop").header(header::COOKIE, format!("dashboard_3000={token}"));
    let mut forged = cookie.method("POST").body(Body::from("target=redis")).unwrap();
    forged.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(fixture.send(forged).await.status(), StatusCode::FORBIDDEN);
    assert_ne!(form_token(token), *token);
}

#[tokio::test]
async fn a_command_is_shown_while_it_is_at_work_and_can_be_interrupted() {
    let fixture = gone(r#"echo "begins: $*"; exec sleep 60"#);
    let told = post(&fixture, "/processes/payment-service", "do=start").await;
    assert_eq!(told.status(), StatusCode::SEE_OTHER);
    let begins = "begins: up --detach payment-service";
    let page = page_with(&fixture, "/", begins).await;
    assert!(page.contains("… at work"), "{page}");
    let interrupted = post(&fixture, "/commands/1/interrupt", "").await;
    assert_eq!(interrupted.status(), StatusCode::SEE_OTHER);
    let page = page_with(&fixture, "/", "✗ failed:").await;
    assert!(page.contains(begins) && !page.contains("… at work"), "{page}");
    let unknown = post(&fixture, "/processes/redis", "do=stop").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}
