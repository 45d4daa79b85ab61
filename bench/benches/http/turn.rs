//! One turn of one contestant: it is started, checked, loaded, measured and ended.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{ServiceProcess, TestBroker, TestDatabase};
use tokio::time::sleep;
use uuid::Uuid;

use crate::contestants::Contestant;
use crate::load::{Figures, Load};
use crate::process::memory_mb;

/// From the start until it is at rest: pools are filled, caches are empty.
const REST: Duration = Duration::from_secs(2);

/// The figures of a turn.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) start_ms: f64,
    pub(crate) idle_mb: f64,
    pub(crate) get: Figures,
    pub(crate) post: Option<Figures>,
    pub(crate) health: Figures,
    /// After the load.
    pub(crate) loaded_mb: f64,
    /// From the last POST until all of its events were published.
    pub(crate) relayed_s: f64,
}

/// A contestant that runs.
pub(crate) struct Running<'a> {
    contestant: &'a Contestant,
    pub(crate) process: ServiceProcess,
    pub(crate) database: TestDatabase,
    start_ms: f64,
    ids: String,
    _broker: TestBroker,
    _folder: TempDir,
}

impl Turn {
    pub(crate) async fn take(contestant: &Contestant) -> Self {
        let running = Running::start(contestant).await;
        sleep(REST).await;
        let idle_mb = memory_mb(running.process.id());
        let get = running.get().measure();
        let post = running.post().map(|load| load.measure());
        let relayed_s = contestant.relayed(&running.database).await;
        let loaded_mb = memory_mb(running.process.id());
        let health = Load { base: "/health", ids: None, ..running.get() }.measure();
        let start_ms = running.start_ms;
        Self { start_ms, idle_mb, get, post, health, loaded_mb, relayed_s }
    }
}

impl<'a> Running<'a> {
    /// Starts it on a database of its own, and makes sure that it does what is measured.
    pub(crate) async fn start(contestant: &'a Contestant) -> Self {
        let database = testkit::database("http").await;
        let broker = testkit::broker().await;
        let folder = testkit::config_with_template();
        let config = folder.path().display().to_string();
        let environment = contestant.environment(&database, &broker, &config);
        contestant.prepare(&database).await;
        let begin = Instant::now();
        let mut process = ServiceProcess::spawn_at(&contestant.binary, &environment);
        let http = reqwest::Client::new();
        let health = process.url("/health");
        while !http.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(process.exited().is_none(), "{}: {}", contestant.name, process.log_tail());
            sleep(Duration::from_millis(2)).await;
        }
        let start_ms = begin.elapsed().as_secs_f64() * 1e3;
        let rows = contestant.fill(&database).await;
        check(contestant, &process, &http, rows[0]).await;
        let ids = folder.path().join("ids");
        let lines: Vec<String> = rows.iter().map(|id| format!("{id}\n")).collect();
        fs::write(&ids, lines.concat()).unwrap();
        let ids = ids.display().to_string();
        Self { contestant, process, database, start_ms, ids, _broker: broker, _folder: folder }
    }

    /// Reads of rows by their keys.
    pub(crate) fn get(&self) -> Load<'_> {
        let Contestant { base, token, .. } = self.contestant;
        let process = self.process.id();
        let port = self.process.port();
        Load { process, port, method: "GET", base, token, ids: Some(&self.ids), body: "" }
    }

    /// New rows, where it makes any.
    pub(crate) fn post(&self) -> Option<Load<'_>> {
        let body = self.contestant.body?;
        Some(Load { method: "POST", ids: None, body, ..self.get() })
    }
}

/// Stops the benchmark over an answer that is wrong: who does less is faster.
async fn check(
    contestant: &Contestant,
    process: &ServiceProcess,
    http: &reqwest::Client,
    id: Uuid,
) {
    let row = |id: Uuid| http.get(process.url(&format!("{}/{id}", contestant.base)));
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    let name = contestant.name;
    assert_eq!(status(row(id)).await, 401, "{name}: without a token");
    assert_eq!(status(row(id).bearer_auth("x.y.z")).await, 401, "{name}: with a forged token");
    let unknown = row(Uuid::now_v7()).bearer_auth(&contestant.token);
    assert_eq!(status(unknown).await, 404, "{name}: an unknown id");
    let found: Value =
        row(id).bearer_auth(&contestant.token).send().await.unwrap().json().await.unwrap();
    assert!(found.to_string().contains(&id.to_string()), "{name}: {found}");
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}, health {}", self.get, self.health)?;
        if let Some(post) = &self.post {
            write!(f, ", POST {post}, relayed after {:.1} s", self.relayed_s)?;
        }
        write!(f, ", {:.0} → {:.0} MB, start {:.0} ms", self.idle_mb, self.loaded_mb, self.start_ms)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, p50_ms, p99_ms, cpu_us, database_us, broker_us } = self;
        write!(f, "{rate:.0}/s (p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, {cpu_us:.0} µs; ")?;
        write!(f, "PostgreSQL {database_us:.0} µs, RabbitMQ {broker_us:.0} µs)")
    }
}
