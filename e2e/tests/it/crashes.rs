//! Processes killed between two steps.

use std::time::Duration;

use testkit::{Proxy, eventually};

use crate::system::{Fixture, System};

/// The broker is out of user-service's reach when the user registers, so the event is committed
/// and not published; then the process is killed.
#[tokio::test]
async fn user_service_killed_between_commit_and_publish_sends_the_welcome_mail_exactly_once() {
    let fixture = Fixture::set_up().await;
    let proxy = Proxy::start(fixture.broker.server()).await;
    let mut users = fixture.environment(0);
    users.insert("RABBITMQ_HOST".to_owned(), proxy.address().ip().to_string());
    users.insert("RABBITMQ_PORT".to_owned(), proxy.port().to_string());
    let mut system = fixture.start(users).await;

    proxy.cut().await;
    let user = system.new_user().await;
    system.users.kill();
    assert!(system.mails_to(&user.email).is_empty());
    proxy.restore().await;
    system.users.restart().await;

    system.until_sent(&user.token, "welcome").await;
    // A second user's mail goes the same way after the first's: had the first been sent twice, it
    // would be there by now.
    let other = system.new_user().await;
    system.until_sent(&other.token, "welcome").await;
    assert_eq!(system.sent(&user.token, "welcome").await.len(), 1);
    assert_eq!(system.mails_to(&user.email).len(), 1);
}

/// The provider charges and the answer is lost with the process that asked.
#[tokio::test]
async fn payment_service_killed_while_the_provider_charges_charges_once() {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let mut system = fixture.start(users).await;
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    system.simulator.fail_next(1, testkit::simulator::Fault::DropConnectionAfterCharging);
    let url = system.payments.url("/api/payments");
    let request = system.request(reqwest::Method::POST, &url).bearer_auth(&user.token);
    let request = request.header("idempotency-key", "order-1").header("prefer", "wait=30");
    let body =
        serde_json::json!({"amount": 500, "currency": "EUR", "payment_method": "pm_card_visa"});
    let paying = tokio::spawn(request.json(&body).send());
    eventually("the provider has charged", async || {
        (system.simulator.charges().len() == 1).then_some(())
    })
    .await;
    system.payments.kill();
    assert!(paying.await.unwrap().is_err());
    system.payments.restart().await;
    system.until_sent(&user.token, "payment_receipt").await;
    let payments = system.get(&system.payments.url("/api/payments"), &user.token).await;
    assert_eq!(payments["items"][0]["status"], "succeeded", "{payments}");
    assert_eq!(system.simulator.charges().len(), 1);
}

/// The breaker of user-service opens within the moment, and by default stays open for a minute at
/// most.
#[tokio::test]
async fn payments_go_on_soon_after_user_service_was_away_for_a_moment() {
    let mut system = System::start().await;
    let user = system.new_user().await;
    let refused = |number: usize| format!("refused-{number}");
    system.users.kill();
    eventually("the circuit breaker is open", async || {
        for number in 0..8 {
            let answer = system.pay(&user.token, &refused(number), "pm_card_visa").await;
            assert_eq!(answer.status(), 503);
        }
        system.payments.log().contains("circuit breaker changed state").then_some(())
    })
    .await;
    system.users.restart().await;
    let paid = async {
        let mut number = 0;
        while system.pay(&user.token, &format!("order-{number}"), "pm_card_visa").await.status()
            != 201
        {
            number += 1;
        }
    };
    // The minute is not waited for, however busy the machine is.
    tokio::time::timeout(Duration::from_secs(20), paid).await.expect("payments go on");
    assert_eq!(system.simulator.charges().len(), 1);
}

#[tokio::test]
async fn all_three_end_cleanly_on_sigterm() {
    let fixture = Fixture::set_up().await;
    let users = fixture.environment(0);
    let mut system = fixture.start(users).await;
    for service in [&mut system.users, &mut system.payments, &mut system.notifications] {
        assert!(service.terminate().await.success(), "{}", service.log_tail());
        assert!(service.log().contains("drained"), "{}", service.log_tail());
    }
}
