//! Pages and forms over a system's folder, with a program in the place of the tool that says what it is
//! told.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::app::Parts;
use crate::protection::form_token;
use crate::server::router;
use crate::settings::Settings;

const TOKEN: &str = "a-token-of-tests";

/// A dashboard whose tool is this script.
struct Dashboard {
    routes: Router,
    folder: TempDir,
}

impl Dashboard {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("tool");
        std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o700)).unwrap();
        write(folder.path(), "state.json", include_str!("tests/state.json"));
        let settings = Settings {
            port: 3000,
            token: TOKEN.to_owned(),
            folder: folder.path().to_owned(),
            root: folder.path().to_owned(),
            tool,
            namespace: String::new(),
        };
        Self { routes: router(Parts::new(settings).unwrap()), folder }
    }

    async fn send(&self, method: &str, path: &str, form: Option<&str>) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost:3000")
            .header(header::COOKIE, format!("dashboard_3000={TOKEN}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = form.unwrap_or_default().to_owned();
        self.routes.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let response = self.send("GET", path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let bytes = to_bytes(response.into_body(), 8 << 20).await.unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }

    async fn post(&self, path: &str, fields: &str) -> Response<Body> {
        let form = format!("form_token={}&{fields}", form_token(TOKEN));
        self.send("POST", path, Some(&form)).await
    }

    /// The page once it holds this text.
    async fn page_with(&self, path: &str, text: &str) -> String {
        for _ in 0..400 {
            let page = self.page(path).await;
            if page.contains(text) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} does not say {text}: {}", self.page(path).await);
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn pages_answer_while_services_and_servers_do_not() {
    let dashboard = Dashboard::new("exit 1");
    let page = dashboard.page("/").await;
    assert!(page.contains("✗ ended") && page.contains("○ stopped"), "{page}");
    assert!(page.contains("ask RabbitMQ"), "{page}");
    assert!(!page.contains("canary"), "a login: {page}");
    for (path, says) in [
        ("/calls", "no administrator"),
        ("/settings", "✗ user-service: it has ended"),
        ("/faults", "✓ Nothing goes wrong on purpose."),
    ] {
        let page = dashboard.page(path).await;
        assert!(page.contains(says), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_fault_is_begun_by_the_tool_marked_on_the_graph_and_ended() {
    let dashboard = Dashboard::new(r#"echo "told: $*""#);
    let begun = dashboard.post("/faults/begin", "fault=slow+redis&by=300ms&for=30s").await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    assert_eq!(begun.headers()[header::LOCATION], "/faults#commands");
    let page = dashboard.page_with("/faults", "told: fault slow redis --by 300ms --for 30s").await;
    assert!(page.contains("✓ done:"), "{page}");

    let fault = r#"{"faults": [{"target": "redis", "kind": "slow", "by_ms": 300, "since_ms": 1}]}"#;
    write(dashboard.folder.path(), "faults.json", fault);
    let graph = dashboard.page("/").await;
    assert!(graph.contains("⚡ slow by 300 ms"), "{graph}");
    let ended = dashboard.post("/faults/stop", "target=redis").await;
    assert_eq!(ended.status(), StatusCode::SEE_OTHER);
    dashboard.page_with("/faults", "told: fault stop redis").await;

    for (path, fields) in [("/faults/begin", "fault=freeze+--all"), ("/faults/stop", "target=x")] {
        let refused = dashboard.post(path, fields).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{fields}");
    }
    let forged = dashboard.send("POST", "/faults/stop", Some("target=redis")).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "a form without the token");
}

#[tokio::test]
async fn a_command_is_shown_while_it_is_at_work_and_can_be_interrupted() {
    let dashboard = Dashboard::new(r#"echo "begins: $*"; exec sleep 60"#);
    let told = dashboard.post("/processes/payment-service", "do=start").await;
    assert_eq!(told.status(), StatusCode::SEE_OTHER);
    let begins = "begins: up --detach payment-service";
    let page = dashboard.page_with("/", begins).await;
    assert!(page.contains("… at work"), "{page}");
    let interrupted = dashboard.post("/commands/1/interrupt", "").await;
    assert_eq!(interrupted.status(), StatusCode::SEE_OTHER);
    let page = dashboard.page_with("/", "✗ failed:").await;
    assert!(page.contains(begins) && !page.contains("… at work"), "{page}");
    let unknown = dashboard.post("/processes/redis", "do=stop").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}
