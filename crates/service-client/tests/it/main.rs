//! Calls over real HTTP to servers that answer, refuse, fail, hang or are not there.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "tests start what they call")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use discovery::{Instance, Registry};
use resilience::breaker::CircuitBreakerSettings;
use resilience::retry::RetrySettings;
use service_client::{Call, CallError, ClientSettings, Kind, ServiceClient};

/// What a server does with a request.
#[derive(Clone)]
enum Answer {
    Json(&'static str),
    Status(u16),
    Busy { retry_after: &'static str },
    Problem,
    Hang,
    Large,
}

/// A server that answers as told, then with `{"ok":true}`; it keeps the headers it saw.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    calls: Arc<AtomicUsize>,
}

async fn handle(State(server): State<Server>, request: Request) -> Response {
    server.calls.fetch_add(1, Ordering::SeqCst);
    server.seen.lock().unwrap().push(request.headers().clone());
    let answer = server.answers.lock().unwrap().pop_front();
    match answer.unwrap_or(Answer::Json("{\"ok\":true}")) {
        Answer::Json(body) => body.into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Busy { retry_after } => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", retry_after)]).into_response()
        }
        Answer::Problem => {
            let body = r#"{"type":"/problems/payer","title":"No payer","detail":"deleted"}"#;
            (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
        }
        Answer::Hang => std::future::pending().await,
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
        attempt_timeout: Duration::from_millis(500),
    }
}

fn client(settings: &ClientSettings, instances: &[&Instance]) -> ServiceClient {
    let registry = Registry::empty();
    for instance in instances {
        registry.register((*instance).clone());
    }
    ServiceClient::new("user-service", registry, settings).unwrap()
}

async fn get(client: &ServiceClient) -> Result<serde_json::Value, CallError> {
    client.get("/api/users/7", Call::new("get_user")).await
}

#[tokio::test]
async fn a_get_that_fails_is_repeated_on_the_next_instance() {
    let (bad, first) = Server::start([Answer::Status(500)]).await;
    let (good, second) = Server::start([]).await;
    let answer = get(&client(&settings(), &[&first, &second])).await.unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!((bad.calls(), good.calls()), (1, 1));
}

#[tokio::test]
async fn a_post_is_repeated_only_with_an_idempotency_key() {
    let (server, instance) = Server::start([Answer::Status(500), Answer::Status(500)]).await;
    let client = client(&settings(), &[&instance]);
    let plain = client.post::<_, serde_json::Value>("/x", &1, Call::new("make")).await;
    assert!(matches!(plain.unwrap_err().kind, Kind::Server { status: 500, .. }));
    assert_eq!(server.calls(), 1);
    let keyed = Call::new("make").idempotency_key("order-7");
    client.post::<_, serde_json::Value>("/x", &1, keyed).await.unwrap();
    assert_eq!(server.calls(), 3);
    let seen = server.seen.lock().unwrap();
    assert_eq!(
        (&seen[1]["idempotency-key"], &seen[2]["idempotency-key"]),
        (&"order-7".parse().unwrap(), &"order-7".parse().unwrap(),)
    );
}

#[tokio::test]
async fn failures_in_a_row_open_the_breaker_and_it_closes_again_by_itself() {
    let (server, instance) = Server::start(vec![Answer::Status(500); 5]).await;
    let mut once = settings();
    once.retry.max_attempts = 1;
    let client = client(&once, &[&instance]);
    for _ in 0..5 {
        assert!(matches!(get(&client).await.unwrap_err().kind, Kind::Server { .. }));
    }
    let rejected = get(&client).await.unwrap_err();
    assert!(matches!(rejected.kind, Kind::Open { .. }), "{rejected}");
    assert_eq!((rejected.attempts, server.calls()), (0, 5));
    let closed = async {
        while get(&client).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
}

#[tokio::test]
async fn a_4xx_never_opens_the_breaker_and_is_not_repeated() {
    let (server, instance) = Server::start(vec![Answer::Problem; 20]).await;
    let client = client(&settings(), &[&instance]);
    for _ in 0..20 {
        let Kind::Client { status: 422, problem: Some(problem) } =
            get(&client).await.unwrap_err().kind
        else {
            panic!("another kind")
        };
        assert_eq!(
            (problem.kind.as_str(), problem.detail.as_deref()),
            ("/problems/payer", Some("deleted"),)
        );
    }
    assert_eq!(server.calls(), 20);
    get(&client).await.unwrap();
}

#[tokio::test]
async fn being_told_to_slow_down_no_instance_and_a_hurried_caller_do_not_open_the_breaker() {
    let mut once = settings();
    once.retry.max_attempts = 1;
    let (_, busy) = Server::start(vec![Answer::Status(429); 20]).await;
    let (_, slow) = Server::start(vec![Answer::Hang; 20]).await;
    let (told, nobody, hurried) =
        (client(&once, &[&busy]), client(&once, &[]), client(&once, &[&slow]));
    for _ in 0..20 {
        assert!(matches!(get(&told).await.unwrap_err().kind, Kind::Server { status: 429, .. }));
        assert!(matches!(get(&nobody).await.unwrap_err().kind, Kind::Unreachable));
        let call = Call::new("get_user").within(Duration::from_millis(5));
        let error = hurried.get::<serde_json::Value>("/", call).await.unwrap_err();
        assert!(matches!(error.kind, Kind::TimedOut), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_and_a_token_that_is_missing_end_the_call_before_it_begins() {
    let (server, instance) = Server::start([]).await;
    let plain = client(&settings(), &[&instance]);
    let call = Call::new("make").idempotency_key("two\nlines");
    let error = plain.post::<_, serde_json::Value>("/", &1, call).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unexpected(_)), "{error}");
    let registry = Registry::empty();
    registry.register(instance);
    let tokenless =
        ServiceClient::with_tokens("user-service", registry, &settings(), Arc::new(|_: &str| None));
    let error = get(&tokenless.unwrap()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unexpected(_)), "{error}");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn not_found_is_a_kind_of_its_own() {
    let (_, instance) = Server::start([Answer::Status(404)]).await;
    let error = get(&client(&settings(), &[&instance])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::NotFound));
    assert_eq!(error.instance, Some(format!("127.0.0.1:{}", instance.port)));
    assert_eq!(error.to_string(), "user-service.get_user failed after 1 attempts: not found");
}

#[tokio::test]
async fn a_time_out_is_told_apart_from_a_refused_connection() {
    let (_, hanging) = Server::start(vec![Answer::Hang; 3]).await;
    let mut fast = settings();
    fast.attempt_timeout = Duration::from_millis(20);
    let hung = get(&client(&fast, &[&hanging])).await.unwrap_err();
    assert!(matches!(hung.kind, Kind::TimedOut), "{hung}");
    let refused = get(&client(&fast, &[&nobody()])).await.unwrap_err();
    assert!(matches!(refused.kind, Kind::Unreachable), "{refused}");
    assert_eq!(refused.attempts, 3);
    let unknown = get(&client(&fast, &[])).await.unwrap_err();
    assert!(matches!(unknown.kind, Kind::Unreachable) && unknown.instance.is_none());
}

#[tokio::test]
async fn retry_after_that_reaches_past_the_deadline_ends_the_call_at_once() {
    let (server, instance) = Server::start([Answer::Busy { retry_after: "30" }]).await;
    let mut patient = settings();
    patient.retry.max_backoff = Duration::from_secs(60);
    let client = client(&patient, &[&instance]);
    let call = Call::new("get_user").within(Duration::from_secs(10));
    let error = client.get::<serde_json::Value>("/", call).await.unwrap_err();
    assert_eq!(error.kind.retry_after(), Some(Duration::from_secs(30)));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_however_many_attempts_are_left() {
    let (server, instance) = Server::start(vec![Answer::Hang; 9]).await;
    let client = client(&settings(), &[&instance]);
    let call = Call::new("get_user").within(Duration::from_millis(50));
    let error = client.get::<serde_json::Value>("/", call).await.unwrap_err();
    assert!(matches!(error.kind, Kind::TimedOut));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn token_deadline_request_id_and_json_go_along() {
    let (server, instance) = Server::start([]).await;
    let registry = Registry::empty();
    registry.register(instance);
    let tokens = Arc::new(|target: &str| Some(format!("token-for-{target}").into()));
    let client = ServiceClient::with_tokens("user-service", registry, &settings(), tokens).unwrap();
    let call = Call::new("make").request_id("request-7").within(Duration::from_secs(3));
    client.post::<_, serde_json::Value>("/x", &[1], call).await.unwrap();
    let seen = server.seen.lock().unwrap().remove(0);
    assert_eq!(seen["authorization"], "Bearer token-for-user-service");
    assert_eq!(seen["x-request-id"], "request-7");
    assert_eq!(seen["content-type"], "application/json");
    let left: u64 = seen["x-deadline-ms"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_000).contains(&left), "{left}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_of_another_shape_is_unexpected() {
    let (_, instance) = Server::start([Answer::Large, Answer::Json("[1"), Answer::Json("7")]).await;
    let client = client(&settings(), &[&instance]);
    for reason in ["it is too large", "it has another shape"] {
        let error = get(&client).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Unexpected(text) if text == reason), "{error}");
    }
    let shape = client.get::<Vec<String>>("/", Call::new("list")).await.unwrap_err();
    assert!(matches!(shape.kind, Kind::Unexpected(_)));
}

#[tokio::test]
async fn a_fallback_answers_for_faults_that_may_pass_and_not_for_refusals() {
    let unreachable = client(&settings(), &[]);
    let answer = ServiceClient::or_fallback(get(&unreachable), |_| Some("stale".into())).await;
    assert_eq!(answer.unwrap(), "stale");
    let (_, instance) = Server::start([Answer::Status(404)]).await;
    let refused = client(&settings(), &[&instance]);
    let answer = ServiceClient::or_fallback(get(&refused), |_| Some("stale".into())).await;
    assert!(matches!(answer.unwrap_err().kind, Kind::NotFound));
}
