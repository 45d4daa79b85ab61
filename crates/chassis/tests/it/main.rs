//! The chassis over real HTTP: limits, problem documents, request ids, drain.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod browsers;
mod connections;
mod criticality;
mod drain;
mod kinds;
mod management;
mod problems;
mod protected;
mod requests;
mod takeover;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use chassis::Next;
use chassis::app::AppBuilder;
use chassis::{
    App, CancellationToken, Guard, ManagementPort, ManagementSettings, Protected, ServerSettings,
    ServiceInfo, TrustedProxies,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use utoipa_axum::router::OpenApiRouter;

/// Lets everybody pass.
#[derive(Clone)]
struct Anybody;

impl Guard for Anybody {
    async fn decide(&self, request: Request, next: impl Next) -> Response {
        next.run(request).await
    }
}

/// Routes that everybody may call.
fn open(routes: axum::Router) -> Protected {
    Protected::by(Anybody, OpenApiRouter::from(routes))
}

/// A route that tells when a request is in it, and answers once it is told to: the two, and the route.
fn held() -> (Arc<Notify>, Arc<Notify>, MethodRouter) {
    let entered = Arc::new(Notify::new());
    let leave = Arc::new(Notify::new());
    let inside = entered.clone();
    let until = leave.clone();
    let hold = move || {
        let inside = inside.clone();
        let until = until.clone();
        async move {
            inside.notify_one();
            until.notified().await;
            "finished"
        }
    };
    (entered, leave, get(hold))
}

/// A running app with routes of the test's own.
struct TestApp {
    address: SocketAddr,
    /// Where operators are answered, when that is a port of its own.
    management: Option<SocketAddr>,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), String>>,
    http: reqwest::Client,
}

fn settings() -> ServerSettings {
    ServerSettings {
        host: "127.0.0.1".to_owned(),
        port: 0,
        connection_limit: 256,
        idle_timeout: Duration::from_secs(60),
        head_limit: 16384,
        head_timeout: Duration::from_secs(60),
        body_limit: 1024,
        body_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(5),
        concurrency_limit: 64,
        adaptive_concurrency: true,
        service_concurrency_limit: 8,
        grace_period: Duration::from_secs(10),
        drain_delay: Duration::ZERO,
        takeover_socket: PathBuf::new(),
        takeover_from: PathBuf::new(),
        trusted_proxies: TrustedProxies::default(),
        tracing_proxies: TrustedProxies::default(),
        debug: false,
    }
}

/// A free port of its own for operators.
fn management() -> ManagementSettings {
    ManagementSettings {
        host: "127.0.0.1".to_owned(),
        port: ManagementPort::Own(0),
        ..ManagementSettings::default()
    }
}

fn builder(settings: ServerSettings) -> AppBuilder {
    named("test-service", settings)
}

/// An app whose metrics are no other test's in the same process.
fn named(name: &'static str, settings: ServerSettings) -> AppBuilder {
    App::builder(ServiceInfo { name, version: "1.2.3".to_owned() }, settings)
}

impl TestApp {
    async fn start(settings: ServerSettings, routes: axum::Router) -> Self {
        Self::run(builder(settings).routes(open(routes))).await
    }

    async fn run(app: AppBuilder) -> Self {
        let app = app.bind().await.unwrap();
        let address = app.address();
        let shutdown = CancellationToken::new();
        let management = app.management_address();
        let run = app.run(shutdown.clone());
        let ended = tokio::spawn(async { run.await.map_err(|error| error.to_string()) });
        Self { address, management, shutdown, ended, http: reqwest::Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }

    /// A metric that has the label `service` alone.
    async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        let name = format!("{name}{{service=\"test-service\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> reqwest::Response {
        let request = self.http.post(self.url(path)).header("content-type", content_type);
        request.body(body.to_vec()).send().await.unwrap()
    }
}
