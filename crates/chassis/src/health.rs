//! `/health`, `/ready` and `/live`: what an operator, a balancer and a kubelet each need to know.
//!
//! | route | says | status |
//! |---|---|---|
//! | `/health` | every check, and `details` of each; its status alone on a public listener beside that for management | 503 only when a critical check fails |
//! | `/ready` | critical checks, started, not draining | 503 when not |
//! | `/live` | the process answers | 200 |
//!
//! A failed check that is not critical makes the service `degraded`: the outbox holds what the
//! broker cannot take, the cache is bypassed. So does a database that is there and has no connection
//! free (`busy`): no replica stops being ready for having much to do. Answers are kept for a moment, so that probes cannot
//! load the servers.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use futures_util::TryFutureExt;
use futures_util::future::join_all;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::database::{Condition, Probe, kind};
use crate::{Clock, ServiceInfo};

/// Longest time for one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer serves further probes.
const KEPT_FOR: Duration = Duration::from_secs(1);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// What a check found, as a kind of error that is fit for a caller's eyes.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// It is not there.
    Failed(&'static str),
    /// It is there, and does less than it should.
    Degraded(&'static str),
}

/// How much a check matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Without it the service can do nothing: `unhealthy`, and not ready.
    Critical,
    /// Without it the service does less: `degraded`.
    Degrading,
}

/// The checks of one service. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

struct Shared {
    info: ServiceInfo,
    clock: Clock,
    checks: Vec<Check>,
    /// True from the end of start-up until the drain begins.
    serving: AtomicBool,
    /// Another process has taken this one's listeners over.
    replaced: AtomicBool,
    last: Mutex<Option<(Instant, Report)>>,
}

struct Check {
    name: &'static str,
    importance: Importance,
    run: Box<dyn Fn() -> CheckFuture + Send + Sync>,
}

/// Collects checks.
pub struct HealthBuilder {
    checks: Vec<Check>,
}

impl HealthBuilder {
    /// Adds a check; it gives the kind of error, fit for a caller's eyes, and has two seconds.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, importance: Importance, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), &'static str>> + Send + 'static,
    {
        let run = move || -> CheckFuture { Box::pin(run().map_err(Failure::Failed)) };
        self.checks.push(Check { name, importance, run: Box::new(run) });
        self
    }

    /// Adds the check of the database: critical when it is away, degrading when it is busy.
    #[must_use]
    pub fn database(mut self, probe: Probe) -> Self {
        let run = move || -> CheckFuture {
            let probe = probe.clone();
            Box::pin(async move {
                match probe.check().await {
                    Ok(Condition::Ready) => Ok(()),
                    Ok(Condition::Busy) => Err(Failure::Degraded("busy")),
                    Err(error) => Err(Failure::Failed(kind(&error))),
                }
            })
        };
        let name = "database";
        let importance = Importance::Critical;
        self.checks.push(Check { name, importance, run: Box::new(run) });
        self
    }

    pub(crate) fn build(self, info: ServiceInfo, clock: Clock) -> Health {
        Health(Arc::new(Shared {
            info,
            clock,
            checks: self.checks,
            serving: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            last: Mutex::new(None),
        }))
    }
}

/// From good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

/// The body of `/health`: `checks` says which work, `details` how each went.
#[derive(Debug, Clone, Serialize)]
struct Report {
    status: Status,
    timestamp: DateTime<Utc>,
    service: &'static str,
    version: String,
    /// What it was built of; `unknown` when that is not known.
    commit: &'static str,
    checks: BTreeMap<&'static str, bool>,
    details: BTreeMap<&'static str, Detail>,
}

#[derive(Debug, Clone, Serialize)]
struct Detail {
    latency_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

impl Health {
    /// Starts a list of checks.
    pub fn builder() -> HealthBuilder {
        HealthBuilder { checks: Vec::new() }
    }

    pub(crate) fn set_serving(&self, serving: bool) {
        self.0.serving.store(serving, Ordering::Release);
    }

    /// Whether start-up is done and the drain has not begun.
    pub(crate) fn is_serving(&self) -> bool {
        self.0.serving.load(Ordering::Acquire)
    }

    /// What is asked of this process from now on is asked of the one that has taken its listeners over.
    pub(crate) fn set_replaced(&self) {
        self.0.replaced.store(true, Ordering::Release);
    }

    /// Whether requests sent to this address are answered.
    fn is_answering(&self) -> bool {
        self.is_serving() || self.0.replaced.load(Ordering::Acquire)
    }

    /// Waits until everything is there without which the service can do nothing.
    pub(crate) async fn until_usable(&self) {
        while self.report().await.status == Status::Unhealthy {
            tokio::time::sleep(KEPT_FOR).await;
        }
    }

    /// The last answer while it is fresh; else one round of checks, however many ask at once.
    async fn report(&self) -> Report {
        let mut last = self.0.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < KEPT_FOR
        {
            return report.clone();
        }
        let report = self.0.run().await;
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

impl Shared {
    async fn run(&self) -> Report {
        let outcomes = join_all(self.checks.iter().map(Check::outcome)).await;
        let mut status = Status::Healthy;
        let (mut checks, mut details) = (BTreeMap::new(), BTreeMap::new());
        for (check, (latency, outcome)) in self.checks.iter().zip(outcomes) {
            let (found, error) = match (outcome, check.importance) {
                (Ok(()), _) => (Status::Healthy, None),
                (Err(Failure::Failed(error)), Importance::Critical) => {
                    (Status::Unhealthy, Some(error))
                }
                (Err(Failure::Failed(error) | Failure::Degraded(error)), _) => {
                    (Status::Degraded, Some(error))
                }
            };
            status = status.max(found);
            checks.insert(check.name, !matches!(outcome, Err(Failure::Failed(_))));
            details.insert(check.name, Detail { latency_ms: latency.as_millis(), error });
        }
        let timestamp = self.clock.now();
        let service = self.info.name;
        let (version, commit) = self.info.running();
        Report { status, timestamp, service, version, commit, checks, details }
    }
}

impl Check {
    async fn outcome(&self) -> (Duration, Result<(), Failure>) {
        let began = Instant::now();
        let outcome = tokio::time::timeout(CHECK_TIMEOUT, (self.run)()).await;
        (began.elapsed(), outcome.unwrap_or(Err(Failure::Failed("timed out"))))
    }
}

impl Status {
    fn http(self) -> StatusCode {
        match self {
            Self::Healthy | Self::Degraded => StatusCode::OK,
            Self::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// `/health` for operators.
pub(crate) async fn details(State(health): State<Health>) -> Response {
    let report = health.report().await;
    (report.status.http(), Json(report)).into_response()
}

/// `/health` for everybody: nothing of what runs here, and of what it needs.
pub(crate) async fn status(State(health): State<Health>) -> Response {
    let status = health.report().await.status;
    (status.http(), Json(serde_json::json!({ "status": status }))).into_response()
}

/// `/live`.
pub(crate) async fn live() -> Response {
    Json(serde_json::json!({ "status": "alive" })).into_response()
}

/// `/ready`.
pub(crate) async fn ready(State(health): State<Health>) -> Response {
    let ready = health.is_answering() && health.report().await.status != Status::Unhealthy;
    let (status, word) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    (status, Json(serde_json::json!({ "status": word }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(checks: HealthBuilder) -> Health {
        let info = ServiceInfo { name: "user-service", version: "1.0.0".to_owned() };
        let health = checks.build(info, Clock::system());
        health.set_serving(true);
        health
    }

    #[tokio::test]
    async fn an_address_is_ready_until_its_service_drains_and_when_another_process_has_taken_it_over()
     {
        let health = service(Health::builder());
        let status = async || ready(State(health.clone())).await.status();

        assert_eq!(status().await, StatusCode::OK);
        health.set_serving(false);
        assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
        health.set_replaced();
        assert_eq!(status().await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_broker_that_is_away_degrades_and_a_database_that_is_away_fails() {
        let broker = Health::builder()
            .check("database", Importance::Critical, async || Ok(()))
            .check("rabbitmq", Importance::Degrading, async || Err("connection"));
        let broker = service(broker);
        assert_eq!(broker.report().await.status, Status::Degraded);
        assert_eq!(ready(State(broker)).await.status(), StatusCode::OK);

        let database = Health::builder()
            .check("database", Importance::Critical, async || Err("connection"))
            .check("rabbitmq", Importance::Degrading, async || Err("connection"));
        let database = service(database);
        assert_eq!(
            details(State(database.clone())).await.status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(ready(State(database)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_after_its_time_limit() {
        let hanging = Health::builder().check(
            "redis",
            Importance::Degrading,
            std::future::pending::<Result<(), &str>>,
        );
        let report = service(hanging).report().await;
        assert_eq!(report.details["redis"].error, Some("timed out"));
    }

    #[tokio::test(start_paused = true)]
    async fn probes_in_the_same_moment_share_one_round_of_checks() {
        let rounds = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = rounds.clone();
        let health =
            service(Health::builder().check("database", Importance::Critical, move || {
                counted.fetch_add(1, Ordering::SeqCst);
                async { Ok(()) }
            }));
        join_all((0..50).map(|_| health.report())).await;
        assert_eq!(rounds.load(Ordering::SeqCst), 1);
        tokio::time::advance(KEPT_FOR).await;
        health.report().await;
        assert_eq!(rounds.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_draining_service_is_not_ready() {
        let health = service(Health::builder());
        health.set_serving(false);
        assert_eq!(ready(State(health)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
