//! Calls over real HTTP to servers that answer, refuse, fail, hang or are not there.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they call")]

mod guards;
mod hedging;
mod kinds;
mod recovery;
mod requests;
mod start;
mod targets;
mod tls;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use discovery::{Instance, Registry};
use resilience::breaker::CircuitBreakerSettings;
use resilience::retry::RetrySettings;
use service_client::{Bounds, Call, CallError, ClientSettings, ServiceClient};

/// What a server does with a request.
#[derive(Clone)]
enum Answer {
    Json(&'static str),
    Status(u16),
    /// 403, with this problem document.
    Refused(&'static str),
    Busy {
        retry_after: &'static str,
    },
    Problem,
    /// The connection ends in the middle of the answer.
    Cut,
    Hang,
    Large,
}

/// A server that answers as told, then with `{"ok":true}`; it keeps the headers and the
/// paths with queries that it saw.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    asked_for: Arc<Mutex<Vec<String>>>,
    calls: Arc<AtomicUsize>,
    /// Requests that were given up while this server hung.
    given_up: Arc<AtomicUsize>,
}

/// Counts when it is dropped.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn handle(State(server): State<Server>, request: Request) -> Response {
    server.calls.fetch_add(1, Ordering::SeqCst);
    server.seen.lock().unwrap().push(request.headers().clone());
    server.asked_for.lock().unwrap().push(request.uri().to_string());
    let answer = server.answers.lock().unwrap().pop_front();
    match answer.unwrap_or(Answer::Json("{\"ok\":true}")) {
        Answer::Json(body) => body.into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Refused(problem) => (StatusCode::FORBIDDEN, problem).into_response(),
        Answer::Busy { retry_after } => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", retry_after)]).into_response()
        }
        Answer::Problem => {
            let body = r#"{"type":"/problems/payer","title":"No payer","detail":"deleted"}"#;
            (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
        }
        Answer::Cut => {
            let cut = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
            Body::from_stream(cut).into_response()
        }
        Answer::Hang => {
            let _given_up = Counts(server.given_up.clone());
            std::future::pending().await
        }
        Answer::Large => "x".repeat(2 * 1024 * 1024).into_response(),
    }
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, Instance) {
        let server = Self::default();
        server.answers.lock().unwrap().extend(answers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        (server, Instance::new("user-service", "127.0.0.1", port))
    }

    fn will(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// An address at which nobody listens.
fn nobody() -> Instance {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Instance::new("user-service", "127.0.0.1", listener.local_addr().unwrap().port())
}

fn settings() -> ClientSettings {
    ClientSettings {
        circuit_breaker: CircuitBreakerSettings {
            failure_threshold: 5,
            timeout: Duration::from_millis(50),
            initial_timeout: Duration::from_millis(50),
            half_open_max_calls: 1,
            ..Default::default()
        },
        retry: RetrySettings {
            max_attempts: 3,
            backoff_multiplier: 2.0,
            max_backoff: Duration::from_millis(20),
            initial_backoff: Duration::from_millis(5),
            ..Default::default()
        },
        client: Bounds { attempt_timeout: Duration::from_millis(500), ..Bounds::default() },
    }
}

fn client(settings: &ClientSettings, instances: &[&Instance]) -> ServiceClient {
    let registry = Registry::empty();
    for instance in instances {
        registry.register((*instance).clone());
    }
    ServiceClient::new("user-service", &registry, settings).unwrap()
}

/// A metric of the calls to user-service, with a further label where it has one.
fn counted(name: &str, label: &str) -> usize {
    let text = telemetry::metrics::render();
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(label);
    let line = text.lines().find(is_it).unwrap_or_else(|| panic!("no {name} {label} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn get(client: &ServiceClient) -> Result<serde_json::Value, CallError> {
    client.get("/api/users/7", Call::new("get_user")).await
}
