//! The chassis over real HTTP: limits, problem documents, request ids, drain.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they watch")]

mod connections;
mod drain;
mod requests;

use std::net::SocketAddr;
use std::time::Duration;

use chassis::{App, CancellationToken, ServerSettings, ServiceInfo, TrustedProxies};
use tokio::task::JoinHandle;
use utoipa_axum::router::OpenApiRouter;

/// A running app with routes of the test's own.
struct TestApp {
    address: SocketAddr,
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
        service_concurrency_limit: 8,
        grace_period: Duration::from_secs(10),
        drain_delay: Duration::ZERO,
        trusted_proxies: TrustedProxies::default(),
        tracing_proxies: TrustedProxies::default(),
        debug: false,
    }
}

impl TestApp {
    async fn start(settings: ServerSettings, routes: axum::Router) -> Self {
        let info = ServiceInfo { name: "test-service", version: "1.2.3".to_owned() };
        let app = App::builder(info, settings).routes(OpenApiRouter::from(routes));
        let app = app.bind().await.unwrap();
        let (address, shutdown) = (app.address(), CancellationToken::new());
        let run = app.run(shutdown.clone());
        let ended = tokio::spawn(async { run.await.map_err(|error| error.to_string()) });
        Self { address, shutdown, ended, http: reqwest::Client::new() }
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
        let (text, name) = (self.metrics().await, format!("{name}{{service=\"test-service\"}} "));
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> reqwest::Response {
        let request = self.http.post(self.url(path)).header("content-type", content_type);
        request.body(body.to_vec()).send().await.unwrap()
    }
}
