//! A Consul agent built to the contract that was seen on a real one: the part that is used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::Deserialize;
use serde_json::{Value, json};

/// How often a blocking query looks whether it may answer.
const POLL: Duration = Duration::from_millis(5);

/// Where the index stands before anything happens.
const INDEX: u64 = 53;

#[derive(Clone)]
pub(crate) struct Agent(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    services: BTreeMap<String, Service>,
    /// What stands in every answer besides.
    others: Vec<Value>,
    index: u64,
    /// What the index was last counted up for.
    seen: String,
    has_no_leader: bool,
    is_frozen: bool,
    token: Option<String>,
}

struct Service {
    registration: Registration,
    ttl: Option<Duration>,
    passed: Option<Instant>,
}

/// An unknown field is refused with 400.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Registration {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    #[serde(default)]
    address: String,
    port: u16,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
    check: Option<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    #[serde(rename = "TTL")]
    ttl: String,
    #[serde(rename = "Status", default)]
    status: String,
    #[serde(rename = "DeregisterCriticalServiceAfter")]
    deregister_after: String,
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Shared { index: INDEX, ..Shared::default() })))
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/v1/agent/service/register", put(register))
            .route("/v1/agent/service/deregister/{id}", put(deregister))
            .route("/v1/agent/check/pass/{check}", put(pass))
            .route("/v1/health/service/{name}", get(health))
            .layer(from_fn_with_state(self.clone(), stand_still))
            .with_state(self.clone())
    }

    /// Whether it says nothing, be it to what was asked before.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.0.lock().unwrap().is_frozen = is_frozen;
    }

    /// A restart without its data, behind a connection that stands: the index begins anew.
    pub(crate) fn forget(&self) {
        let mut shared = self.0.lock().unwrap();
        shared.services.clear();
        shared.index = 1;
        shared.seen = shared.statuses();
    }

    pub(crate) fn lose_leader(&self, lost: bool) {
        self.0.lock().unwrap().has_no_leader = lost;
    }

    /// From now on every answer has this entry too.
    pub(crate) fn add(&self, entry: Value) {
        self.0.lock().unwrap().others.push(entry);
    }

    /// From now on only requests with this token are answered.
    pub(crate) fn want_token(&self, token: &str) {
        self.0.lock().unwrap().token = Some(token.to_owned());
    }
}

impl Shared {
    fn may(&self, headers: &axum::http::HeaderMap) -> bool {
        let sent = headers.get("x-consul-token").and_then(|token| token.to_str().ok());
        self.token.is_none() || self.token.as_deref() == sent
    }

    fn statuses(&self) -> String {
        let status = |(id, service): (&String, &Service)| format!("{id}={};", service.status());
        self.services.iter().map(status).collect()
    }

    fn count_up(&mut self) {
        let now = self.statuses();
        if now != self.seen {
            self.seen = now;
            self.index += 10;
        }
        self.index = self.index.max(1);
    }

    fn entries(&self, name: &str) -> Vec<Value> {
        let named = self.services.values().filter(|service| service.registration.name == name);
        named.map(Service::entry).chain(self.others.iter().cloned()).collect()
    }
}

impl Service {
    fn status(&self) -> &'static str {
        let Some(ttl) = self.ttl else { return "passing" };
        let lives = self.passed.is_some_and(|passed| passed.elapsed() < ttl);
        if lives { "passing" } else { "critical" }
    }

    fn entry(&self) -> Value {
        let Registration { id, name, address, port, meta, .. } = &self.registration;
        json!({
            "Node": { "Node": "fake", "Address": "10.0.0.250" },
            "Service": {
                "ID": id, "Service": name, "Tags": [], "Address": address, "Meta": meta,
                "Port": port, "Weights": { "Passing": 1, "Warning": 1 },
            },
            "Checks": [
                { "CheckID": "serfHealth", "Status": "passing" },
                { "CheckID": format!("service:{id}"), "Status": self.status() },
            ],
        })
    }
}

/// No request comes in and no answer goes out while it is frozen.
async fn stand_still(State(agent): State<Agent>, request: Request, next: Next) -> Response {
    let runs = async || {
        while agent.0.lock().unwrap().is_frozen {
            tokio::time::sleep(POLL).await;
        }
    };
    runs().await;
    let answer = next.run(request).await;
    runs().await;
    answer
}

async fn register(
    State(agent): State<Agent>,
    headers: axum::http::HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let registration: Registration = match serde_json::from_value(body) {
        Ok(registration) => registration,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("Request decode failed: {error}"))
                .into_response();
        }
    };
    let mut shared = agent.0.lock().unwrap();
    if !shared.may(&headers) {
        return (StatusCode::FORBIDDEN, "Permission denied").into_response();
    }
    let id = registration.id.clone();
    let check = registration.check.as_ref();
    let milliseconds = check.map(|check| {
        assert_eq!(check.id, format!("service:{id}"));
        assert!(check.deregister_after.trim_end_matches('s').parse::<u64>().unwrap() >= 60);
        check.ttl.strip_suffix("ms").unwrap().parse().unwrap()
    });
    let passing = check.is_some_and(|check| check.status == "passing");
    let known = shared.services.get(&id).and_then(|known| known.passed);
    let passed = known.or(passing.then(Instant::now));
    let ttl = milliseconds.map(Duration::from_millis);
    shared.services.insert(id, Service { registration, ttl, passed });
    StatusCode::OK.into_response()
}

async fn deregister(State(agent): State<Agent>, Path(id): Path<String>) -> StatusCode {
    match agent.0.lock().unwrap().services.remove(&id) {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    }
}

async fn pass(State(agent): State<Agent>, Path(check): Path<String>) -> Response {
    let mut shared = agent.0.lock().unwrap();
    let service = shared.services.get_mut(check.strip_prefix("service:").unwrap_or_default());
    let Some(service) = service else {
        let text = format!("CheckID \"{check}\" does not have associated TTL");
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    };
    service.passed = Some(Instant::now());
    StatusCode::OK.into_response()
}

#[derive(Deserialize)]
struct Blocking {
    index: Option<u64>,
    wait: Option<String>,
}

async fn health(
    State(agent): State<Agent>,
    Path(name): Path<String>,
    Query(blocking): Query<Blocking>,
    headers: axum::http::HeaderMap,
) -> Response {
    let milliseconds = |wait: &str| wait.strip_suffix("ms").unwrap().parse().unwrap();
    let wait = Duration::from_millis(blocking.wait.as_deref().map_or(0, milliseconds));
    let end = Instant::now() + wait + wait / 16;
    loop {
        {
            let mut shared = agent.0.lock().unwrap();
            if !shared.may(&headers) {
                return (StatusCode::FORBIDDEN, "Permission denied").into_response();
            }
            if shared.has_no_leader {
                let head = [("x-consul-index", "1")];
                return (StatusCode::INTERNAL_SERVER_ERROR, head, "No cluster leader")
                    .into_response();
            }
            shared.count_up();
            let changed = blocking.index.is_none_or(|index| index == 0 || index != shared.index);
            if changed || Instant::now() > end {
                let head = [("x-consul-index", shared.index.to_string())];
                return (head, Json(shared.entries(&name))).into_response();
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
