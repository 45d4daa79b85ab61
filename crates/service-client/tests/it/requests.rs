//! What goes along with a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use auth::keys::Algorithm;
use auth::{IssueError, KeySource, ServiceTokens, Token, TokenIssuer};
use chassis::Clock;
use futures_util::future::{BoxFuture, ready};
use http::{HeaderMap, HeaderName, HeaderValue};
use resilience::criticality::Criticality;
use service_client::{Call, Jwks, Kind};
use telemetry::RequestTrace;

use crate::{Answer, Server, client, get, settings};

/// Numbers its tokens; has none when told so.
#[derive(Clone)]
struct Issuer {
    clock: Clock,
    issued: Arc<AtomicU32>,
    is_away: bool,
}

impl TokenIssuer for Issuer {
    fn issue<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Token, IssueError>> {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let lifetime = Duration::from_secs(100);
        let expires_at = self.clock.now() + lifetime;
        let value = format!("token-{number}-for-{target}").into();
        let token = Ok(Token { value, lifetime, expires_at, id: None });
        let away = Err(IssueError::new(target, "the issuer is away"));
        Box::pin(ready(if self.is_away { away } else { token }))
    }
}

fn tokens(is_away: bool) -> (Clock, ServiceTokens) {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let issuer = Issuer { clock: clock.clone(), issued: Arc::default(), is_away };
    (clock.clone(), ServiceTokens::new(issuer, clock))
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_and_a_token_that_is_missing_end_the_call_before_it_begins() {
    let (server, instance) = Server::start([]).await;
    let plain = client(&settings(), &[&instance]);
    let call = Call::new("make").idempotency_key("two\nlines");
    let error = plain.post::<_, serde_json::Value>("/", &1, call).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unexpected(_)), "{error}");
    let error = get(&plain.with_tokens(tokens(true).1)).await.unwrap_err();
    assert!(matches!(error.kind, Kind::NoToken(_)), "{error}");
    assert_eq!((server.calls(), error.attempts), (0, 0));
}

#[tokio::test]
async fn path_and_query_arrive_as_they_are_and_name_no_other_host() {
    let (server, instance) = Server::start([]).await;
    let client = client(&settings(), &[&instance]);
    let paths = ["/users?page=2&of=a%20b/c", "/users/7%2F8", "//another.example/users"];
    for path in paths {
        client.get::<serde_json::Value>(path, Call::new("get_users")).await.unwrap();
    }
    assert_eq!(*server.asked_for.lock().unwrap(), paths);
}

#[tokio::test]
async fn token_deadline_request_id_and_json_go_along() {
    let (server, instance) = Server::start([]).await;
    let client = client(&settings(), &[&instance]).with_tokens(tokens(false).1);
    let call = Call::new("make").request_id("request-7").within(Duration::from_secs(3));
    client.post::<_, serde_json::Value>("/x", &[1], call).await.unwrap();
    let seen = server.seen.lock().unwrap().remove(0);
    assert_eq!(seen["authorization"], "Bearer token-1-for-user-service");
    assert_eq!(seen["x-request-id"], "request-7");
    assert_eq!(seen["content-type"], "application/json");
    let left: u64 = seen["x-deadline-ms"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_000).contains(&left), "{left}");
    assert!(!seen.contains_key("x-criticality"), "the default is not said");
}

#[tokio::test]
async fn how_much_a_call_matters_goes_along() {
    let (server, instance) = Server::start([]).await;
    let client = client(&settings(), &[&instance]);
    for (criticality, word) in
        [(Criticality::Background, "background"), (Criticality::Critical, "critical")]
    {
        let call = Call::new("get_user").criticality(criticality);
        client.get::<serde_json::Value>("/", call).await.unwrap();
        assert_eq!(server.seen.lock().unwrap().remove(0)["x-criticality"], word);
    }
}

#[tokio::test]
async fn the_trace_of_a_request_that_is_not_recorded_goes_along_and_says_so() {
    let (server, instance) = Server::start([]).await;
    let client = client(&settings(), &[&instance]);
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("traceparent"),
        HeaderValue::from_static(caller),
    )]);
    let trace =
        RequestTrace::begin(&headers, telemetry::Caller::Trusted, || panic!("nobody records it"));
    let current = trace.in_scope(telemetry::propagation::current_traceparent).unwrap();
    trace.run(get(&client)).await.unwrap();
    let seen = server.seen.lock().unwrap().remove(0);
    assert_eq!(seen["traceparent"], current);
    assert!(current.starts_with(&caller[..36]) && current.ends_with("-00"), "{current}");
    assert_ne!(current, caller, "the call is ours");
}

#[tokio::test]
async fn a_token_serves_many_calls_and_is_renewed_before_it_expires() {
    let (server, instance) = Server::start([]).await;
    let (clock, tokens) = tokens(false);
    let client = client(&settings(), &[&instance]).with_tokens(tokens);
    for seconds in [0, 70, 20] {
        clock.advance(Duration::from_secs(seconds));
        get(&client).await.unwrap();
    }
    let seen = server.seen.lock().unwrap();
    let sent: Vec<_> = seen.iter().map(|headers| headers["authorization"].clone()).collect();
    let [first, second] = ["Bearer token-1-for-user-service", "Bearer token-2-for-user-service"];
    assert_eq!(sent, [first, first, second]);
}

#[tokio::test]
async fn a_token_that_the_target_refuses_is_replaced_and_the_call_made_again_once() {
    for (status, refusal) in [
        (401, (|| Answer::Status(401)) as fn() -> Answer),
        (403, || Answer::Refused(r#"{"type": "/problems/insufficient-scope"}"#)),
    ] {
        is_replaced_once(status, refusal).await;
    }
    // One that is not for this caller is no better with another token.
    let refusal = r#"{"type": "/problems/forbidden"}"#;
    let (server, instance) = Server::start([Answer::Refused(refusal)]).await;
    let (clock, tokens) = tokens(false);
    let client = client(&settings(), &[&instance]).with_tokens(tokens.clone());
    tokens.token("user-service").await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(get(&client).await.is_err());
    assert_eq!(server.calls(), 1);
}

async fn is_replaced_once(refused: u16, refusal: fn() -> Answer) {
    let (server, instance) = Server::start([refusal()]).await;
    let (clock, tokens) = tokens(false);
    let client = client(&settings(), &[&instance]).with_tokens(tokens.clone());
    let first = tokens.token("user-service").await.unwrap();
    clock.advance(Duration::from_secs(1));
    client.post::<_, serde_json::Value>("/", &1, Call::new("make")).await.unwrap();
    let second = server.seen.lock().unwrap().pop().unwrap();
    assert_eq!(first.expose(), "token-1-for-user-service");
    assert_eq!(second["authorization"], "Bearer token-2-for-user-service");
    // One that is refused although it is new is the caller's to hear of.
    server.answers.lock().unwrap().extend([refusal(), refusal(), refusal()]);
    clock.advance(Duration::from_secs(1));
    let error = get(&client).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Client { status, .. } if status == refused), "{error}");
    assert_eq!(server.calls(), 4);
}

#[tokio::test]
async fn a_form_and_a_name_with_its_secret_go_as_oauth_has_them() {
    let (server, instance) = Server::start([]).await;
    let call = Call::new("issue_token").basic_auth("payment-service", &"s3cret".to_owned().into());
    assert!(!format!("{call:?}").contains("czNjcmV0"), "{call:?}");
    let client = client(&settings(), &[&instance]);
    let form = [("grant_type", "client_credentials"), ("scope", "a b&c")];
    client.post_form::<serde_json::Value>("/oauth/token", &form, call).await.unwrap();
    let seen = server.seen.lock().unwrap().remove(0);
    assert_eq!(seen["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(seen["authorization"], "Basic cGF5bWVudC1zZXJ2aWNlOnMzY3JldA==");
    let written = "grant_type=client_credentials&scope=a+b%26c";
    assert_eq!(seen["content-length"], written.len().to_string());
}

#[tokio::test]
async fn a_path_that_would_name_another_host_is_refused_unsent() {
    let (server, instance) = Server::start([]).await;
    let client = client(&settings(), &[&instance]).with_tokens(tokens(false).1);
    for path in ["@example.com/x", "api/users/7", ""] {
        let answer = client.get::<serde_json::Value>(path, Call::new("get")).await;
        assert!(matches!(answer.unwrap_err().kind, Kind::Unexpected(_)), "{path}");
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn keys_are_got_as_soon_as_their_issuer_is_there_though_the_breaker_is_open() {
    let (server, instance) = Server::start(vec![Answer::Status(500); 15]).await;
    let mut settings = settings();
    settings.circuit_breaker.timeout = Duration::from_secs(3600);
    settings.circuit_breaker.initial_timeout = Duration::from_secs(3600);
    let client = client(&settings, &[&instance]);
    let keys = Jwks::new(&client, Algorithm::EdDsa);
    while !matches!(get(&client).await.map_err(|error| error.kind), Err(Kind::Open { .. })) {}
    server.answers.lock().unwrap().clear();
    server.answers.lock().unwrap().push_back(Answer::Json("{\"keys\":[]}"));
    assert!(keys.load().await.is_ok());
    assert!(matches!(get(&client).await.unwrap_err().kind, Kind::Open { .. }));
}
