//! Instances are replaced under load as Kubernetes does it, with the times of the manifests.
//!
//! ```text
//! the new one is ready ─▶ its address is told ─▶ the old one is to go:
//!   at once            its address leaves the Services, `preStop` begins
//!   one refresh later  the last caller knows
//!   end of `preStop`   SIGTERM: what is in hand is answered, the process ends with 0
//!   grace period       it would be killed
//! ```

mod cluster;
mod load;

use std::process::ExitStatus;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::simulator::Fault;
use testkit::{ServiceProcess, eventually};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::calls::metric;
use crate::rolling::cluster::{Endpoints, Manifests, Pairs};
use crate::rolling::load::{Caller, Load};
use crate::stalled::one_of_each;

/// Answers before the first change and after the last one.
const UNDER_WAY: usize = 100;
const CALLED_AGAIN: &str = "service_call_retries_total{service=\"user-service\"}";

#[tokio::test(flavor = "multi_thread")]
async fn both_instances_of_two_services_are_replaced_under_load_and_no_request_is_lost() {
    let manifests = Manifests::read();
    let mut pairs = Pairs::start().await;
    let callers = [Caller::Payer, Caller::User, Caller::Reader];
    let load = Load::start(&pairs, &callers.repeat(2));
    load.until_answered(UNDER_WAY).await;

    let users = [&mut pairs.system.users, &mut pairs.second_users];
    let payments = [&mut pairs.system.payments, &mut pairs.second_payments];
    let (users, payments) = tokio::join!(
        replace(users, &pairs.users, &manifests),
        replace(payments, &pairs.payments, &manifests),
    );
    load.until_answered(UNDER_WAY).await;

    let (answered, lost) = load.end().await;
    assert!(lost.is_empty(), "{} of {answered:?}: {lost:?}", lost.len());
    for new in users.iter().chain(&payments) {
        assert!(answered.contains_key(&new.port()), "{} in {answered:?}", new.port());
    }
    for new in &payments {
        let log = new.log();
        let failed: Vec<_> = log.lines().filter(|line| line.contains("attempt failed")).collect();
        assert_eq!(metric(new, CALLED_AGAIN).await, 0, "called again after {failed:#?}");
    }
}

/// No `preStop`, and its address stays: callers meet connections that end and a port that is
/// closed. Who may call again is answered by the other instance.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_ends_while_callers_still_have_it_costs_those_who_call_again_nothing() {
    let mut pairs = Pairs::start().await;
    let load = Load::start(&pairs, &[Caller::Payer; 4]);
    load.until_answered(UNDER_WAY).await;

    let _stalled = one_of_each(pairs.second_users.port()).await;
    let ended = ended_in_time(&mut pairs.second_users).await;
    load.until_answered(UNDER_WAY).await;

    assert!(ended.success(), "{}", pairs.second_users.log_tail());
    let (answered, lost) = load.end().await;
    assert!(lost.is_empty(), "{} of {answered:?}: {lost:?}", lost.len());
    let mut called_again = 0;
    for service in [&pairs.system.payments, &pairs.second_payments] {
        called_again += metric(service, CALLED_AGAIN).await;
    }
    assert!(called_again > 0, "nobody had it any more");
}

#[tokio::test]
async fn what_is_in_hand_at_the_signal_is_answered_and_its_connection_ends_with_the_answer() {
    let mut pairs = Pairs::start().await;
    let leaving = &mut pairs.second_payments;
    pairs.system.simulator.fail_next(1, Fault::Slow(Duration::from_secs(2)));
    let body = json!({"amount": 100, "currency": "EUR", "payment_method": "pm_card_visa"});
    let request = reqwest::Client::new().post(leaving.url("/api/payments"));
    let request = request.header("idempotency-key", "order-in-hand").bearer_auth(&pairs.token);
    let paying = tokio::spawn(request.json(&body).send());
    eventually("the payment is at the provider", async || {
        (!pairs.system.simulator.requests().is_empty()).then_some(())
    })
    .await;

    let _stalled = one_of_each(leaving.port()).await;
    let ended = ended_in_time(leaving).await;

    let answer = paying.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], "succeeded");
    assert!(ended.success(), "{}", leaving.log_tail());
}

/// It ends, and nothing has to be cut off for that: connections that stall have limits of their own.
async fn ended_in_time(leaving: &mut ServiceProcess) -> ExitStatus {
    let ended = leaving.terminate().await;
    let log = leaving.log();
    assert!(!log.contains("within the grace period"), "{}", leaving.log_tail());
    ended
}

/// One after the other; gives those that took their places.
async fn replace(
    old: [&mut ServiceProcess; 2],
    endpoints: &Endpoints,
    manifests: &Manifests,
) -> Vec<ServiceProcess> {
    let mut new = Vec::new();
    for leaving in old {
        let coming = endpoints.another().await;
        endpoints.add(coming.port()).await;
        new.push(coming);
        let began = Instant::now();
        sleep_until(began + manifests.refresh).await;
        endpoints.remove(leaving.port()).await;
        sleep_until(began + manifests.pre_stop).await;
        let _stalled = one_of_each(leaving.port()).await;
        let ended = timeout_at(began + manifests.grace_period, ended_in_time(leaving)).await;
        let ended = ended.expect("it would have been killed");
        assert!(ended.success(), "{}", leaving.log_tail());
    }
    new
}
