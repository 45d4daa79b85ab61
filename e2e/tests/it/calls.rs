//! payment-service asks user-service under load, while one of its two instances dies, loses its
//! database, is busy or slow, and while all answers are slow.

mod before;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use testkit::{Environment, Proxy, ServiceProcess};
use tokio::task::JoinSet;

use crate::calls::before::{Before, Spoilt};
use crate::system::{Fixture, System};

/// Callers at the same time.
pub(crate) const CALLERS: usize = 16;
/// Payments of each.
pub(crate) const CALLS: usize = 25;
/// `CIRCUIT_BREAKER_FAILURE_THRESHOLD` by default: failures in a row that eject an instance.
const FAILURES_MAX: usize = 5;
const RETRIES: &str = "service_call_retries_total{service=\"user-service\"}";
const HEDGES: &str = "service_call_hedges_total{service=\"user-service\"}";

/// An instance that is killed takes the calls with it that it had in hand, and a few that were sent
/// after it before it is ejected; each is repeated at the other instance.
#[tokio::test]
async fn an_instance_killed_under_load_costs_no_caller_an_error_and_repeats_no_more_than_was_in_flight()
 {
    let fixture = Fixture::set_up().await;
    let mut doomed = ServiceProcess::start("user-service", &fixture.environment(0)).await;
    let system = beside(fixture, doomed.port()).await;
    let retries = no_caller_sees_an_error(&system, async || doomed.kill()).await;
    assert!((1..=CALLERS + FAILURES_MAX).contains(&retries), "{retries} calls were repeated");
}

/// What it is asked for it answers with 503 from then on.
#[tokio::test]
async fn an_instance_that_loses_its_database_under_load_costs_no_caller_an_error() {
    let (system, database, _sick) = with_a_database_of_its_own().await;
    let retries = no_caller_sees_an_error(&system, async || database.cut().await).await;
    assert!(retries > 0, "it was asked for nothing");
}

/// What it is asked for waits, until whoever asked gives up.
#[tokio::test]
async fn an_instance_whose_database_hangs_under_load_costs_no_caller_an_error() {
    let (system, database, _sick) = with_a_database_of_its_own().await;
    let retries = no_caller_sees_an_error(&system, async || database.freeze().await).await;
    assert!(retries > 0, "it was asked for nothing");
}

/// What it says of the time to come back binds only those who would ask it again.
#[tokio::test]
async fn an_instance_that_answers_503_at_once_costs_no_caller_an_error() {
    let (system, sick, _instance) = with_a_spoilt_one(Spoilt::Busy).await;
    no_caller_sees_an_error(&system, async || sick.spoil()).await;
    assert!((1..=CALLERS + FAILURES_MAX).contains(&sick.calls()), "{} calls", sick.calls());
}

#[tokio::test]
async fn an_instance_that_is_slow_under_load_costs_no_caller_an_error() {
    let (system, sick, _instance) =
        with_a_spoilt_one(Spoilt::Later(Duration::from_millis(400))).await;
    no_caller_sees_an_error(&system, async || sick.spoil()).await;
    assert!(sick.calls() > 0, "it was asked for nothing");
}

/// Pays, and lets something happen to an instance when a quarter of the payments is made: all are made,
/// and there are at most six requests for five calls. Gives how many calls were repeated.
async fn no_caller_sees_an_error(system: &System, happens: impl AsyncFnOnce()) -> usize {
    let user = system.new_user().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let paying = pay(system, &user.token, &answered);
    let happening = async {
        testkit::eventually("the load is under way", async || {
            (answered.load(Ordering::SeqCst) > CALLERS * CALLS / 4).then_some(())
        })
        .await;
        happens().await;
    };
    let (answers, ()) = tokio::join!(paying, happening);

    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status != 201).collect();
    assert!(refused.is_empty(), "{refused:?}\n{}", system.payments.log_tail());
    let retries = metric(&system.payments, RETRIES).await;
    let hedges = metric(&system.payments, HEDGES).await;
    let calls = answers.len();
    assert!(
        (retries + hedges) * 5 <= calls,
        "{retries} retries and {hedges} hedges of {calls} calls"
    );
    retries
}

/// The system with a second instance of user-service at this port.
async fn beside(fixture: Fixture, port: u16) -> System {
    let users = fixture.environment(0);
    fixture.start_with(users, async |first| instances(&[first.port(), port])).await
}

/// The system with a second instance of user-service, and what leads that one to its database.
async fn with_a_database_of_its_own() -> (System, Proxy, ServiceProcess) {
    let fixture = Fixture::set_up().await;
    let mut variables = fixture.environment(0);
    let database = Proxy::start(fixture.databases[0].server()).await;
    let url = fixture.databases[0].url_through(database.address());
    variables.insert("DATABASE_URL".to_owned(), url);
    let sick = ServiceProcess::start("user-service", &variables).await;
    let system = beside(fixture, sick.port()).await;
    (system, database, sick)
}

/// The system with a second instance of user-service, and what stands before that one.
async fn with_a_spoilt_one(spoilt: Spoilt) -> (System, Before, ServiceProcess) {
    let fixture = Fixture::set_up().await;
    let instance = ServiceProcess::start("user-service", &fixture.environment(0)).await;
    let before = Before::start(instance.port(), spoilt).await;
    let system = beside(fixture, before.port()).await;
    (system, before, instance)
}

/// A third of the answers come too late to be of use: calls end within their deadline, and repeated
/// calls do not add to the load that the slow one cannot bear.
#[tokio::test]
async fn slow_answers_keep_within_the_deadline_and_are_not_answered_with_a_storm_of_retries() {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let slow = async |first: &ServiceProcess| {
        let slow = Before::start(first.port(), Spoilt::ThreeOfTenHeldBack).await;
        slow.spoil();
        let mut variables = instances(&[slow.port()]);
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
    let retries = metric(&system.payments, RETRIES).await;
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
