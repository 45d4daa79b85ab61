//! payment-service asks user-service under load, while an instance dies and while answers are slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use reqwest::Method;
use testkit::{Environment, ServiceProcess};
use tokio::task::JoinSet;

use crate::system::{Fixture, System};

/// Callers at the same time.
pub(crate) const CALLERS: usize = 16;
/// Payments of each.
pub(crate) const CALLS: usize = 25;
/// `CIRCUIT_BREAKER_FAILURE_THRESHOLD` by default: failures in a row that eject an instance.
const FAILURES_MAX: usize = 5;

/// An instance that is killed takes the calls with it that it had in hand, and a few that were sent
/// after it before it is ejected; each is repeated at the other instance.
#[tokio::test]
async fn an_instance_killed_under_load_costs_no_caller_an_error_and_repeats_no_more_than_was_in_flight()
 {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let mut doomed = ServiceProcess::start("user-service", &users).await;
    let system =
        fixture.start_with(users, async |first| instances(&[first.port(), doomed.port()])).await;
    let user = system.new_user().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let paying = pay(&system, &user.token, &answered);
    let killing = async {
        testkit::eventually("the load is under way", async || {
            (answered.load(Ordering::SeqCst) > CALLERS * CALLS / 4).then_some(())
        })
        .await;
        doomed.kill();
    };
    let (answers, ()) = tokio::join!(paying, killing);

    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status != 201).collect();
    assert!(refused.is_empty(), "{refused:?}\n{}", system.payments.log_tail());
    let retries =
        metric(&system.payments, "service_call_retries_total{service=\"user-service\"}").await;
    assert!((1..=CALLERS + FAILURES_MAX).contains(&retries), "{retries} calls were repeated");
}

/// A third of the answers come too late to be of use: calls end within their deadline, and repeated
/// calls do not add to the load that the slow one cannot bear.
#[tokio::test]
async fn slow_answers_keep_within_the_deadline_and_are_not_answered_with_a_storm_of_retries() {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let slow = async |first: &ServiceProcess| {
        let mut variables = instances(&[Slow::start(first.port())]);
        let mut set = |name: &str, value: &str| variables.insert(name.into(), value.into());
        set("CLIENT_ATTEMPT_TIMEOUT", "250ms");
        // What is shown here is the budget; an open breaker would end the calls before it.
        set("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1000");
        set("REQUEST_TIMEOUT", "2s");
        variables
    };
    let system = fixture.start_with(users, slow).await;
    let user = system.new_user().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let deadline = Duration::from_secs(2);
    let answers = pay(&system, &user.token, &answered).await;

    let mut times: Vec<Duration> = answers.iter().map(|(_, took)| *took).collect();
    times.sort_unstable();
    assert!(times[times.len() * 99 / 100] <= deadline, "{times:?}");
    let paid = answers.iter().filter(|(status, _)| *status == 201).count();
    assert!(paid * 10 >= answers.len() * 6, "{paid} of {} were paid", answers.len());
    let calls = answers.len();
    let retries =
        metric(&system.payments, "service_call_retries_total{service=\"user-service\"}").await;
    assert!(retries > 0 && retries * 5 <= calls, "{retries} of {calls} calls were repeated");
}

/// Pays as all callers at once; gives status and time of each answer.
pub(crate) async fn pay(
    system: &System,
    token: &str,
    answered: &Arc<AtomicUsize>,
) -> Vec<(u16, Duration)> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let requests: Vec<_> = (0..CALLS)
            .map(|call| {
                let request = system.request(Method::POST, &system.payments.url("/api/payments"));
                let body = serde_json::json!({
                    "amount": 100, "currency": "EUR", "payment_method": "pm_card_visa",
                });
                let key = format!("order-{caller}-{call}");
                let request = request.header("idempotency-key", key).header("prefer", "wait=0");
                request.bearer_auth(token).json(&body)
            })
            .collect();
        let answered = answered.clone();
        callers.spawn(async move {
            let mut answers = Vec::new();
            for request in requests {
                let began = Instant::now();
                let answer = request.send().await.unwrap();
                answers.push((answer.status().as_u16(), began.elapsed()));
                answered.fetch_add(1, Ordering::SeqCst);
            }
            answers
        });
    }
    callers.join_all().await.into_iter().flatten().collect()
}

/// The variables that name the instances of user-service to payment-service.
fn instances(ports: &[u16]) -> Environment {
    let addresses = ports.iter().map(|port| format!("127.0.0.1:{port}"));
    let addresses = addresses.collect::<Vec<_>>().join(",");
    Environment::from([("USER_SERVICE_INSTANCES".to_owned(), addresses)])
}

/// A counter of a service; 0 while it has not been counted.
pub(crate) async fn metric(service: &ServiceProcess, name: &str) -> usize {
    let text = reqwest::get(service.url("/metrics")).await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// Stands before an instance and holds three of ten answers back for longer than anybody waits.
#[derive(Clone)]
struct Slow {
    http: reqwest::Client,
    target: String,
    calls: Arc<AtomicUsize>,
}

impl Slow {
    /// Listens on the port that it gives.
    fn start(target: u16) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let target = format!("http://127.0.0.1:{target}");
        let slow = Self { http: reqwest::Client::new(), target, calls: Arc::default() };
        let router = Router::new().fallback(pass).with_state(slow);
        tokio::spawn(async { axum::serve(listener, router).await });
        port
    }
}

async fn pass(State(slow): State<Slow>, request: Request) -> Response {
    let asked = request.uri().path().starts_with("/api/");
    let number = if asked { slow.calls.fetch_add(1, Ordering::SeqCst) } else { 0 };
    if number * 7 % 10 >= 7 {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let url = format!("{}{}", slow.target, request.uri());
    let headers = request.headers().clone();
    let answer = slow.http.get(url).headers(headers).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap_or_else(|_| Bytes::new())).into_response()
}
