//! Registration, mail, payment, receipt, decline, notice, another address, another password, replay:
//! one scenario, one trace.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;

use crate::system::{Fixture, PASSWORD, Signed, System, token};

#[tokio::test]
async fn the_whole_scenario_happens_once_and_as_one_trace() {
    // The shipped limits hinder nobody who does what people do.
    let mut fixture = Fixture::set_up().await;
    fixture.settings.push(("RATE_LIMIT_ENABLED", "true".to_owned()));
    let users = fixture.environment(0);
    let system = fixture.start(users.clone()).await;
    let user = system.new_user().await;
    // The user's own session, which changes the user, ends with the new address; this one is nobody's to end.
    let own = user.token.clone();
    let user = Signed { token: token(&users, &["user", "--id", &user.id]), ..user };
    let customer = system.payments.url("/api/payments/customer");
    eventually("payment-service has opened the customer", async || {
        (system.get(&customer, &user.token).await["user_id"] == user.id).then_some(())
    })
    .await;
    system.until_sent(&user.token, "welcome").await;
    assert_eq!(system.mails_to(&user.email).len(), 1);
    let me = system.users.url("/api/users/me");
    assert_eq!(system.get(&me, &user.token).await["email_verified"], false);
    let token = system.mailed_token(&user.email, "verify-email");
    system.complete("email-verifications", &json!({"token": token})).await;
    assert_eq!(system.get(&me, &user.token).await["email_verified"], true);

    let paid = system.pay(&user.token, "order-1", "pm_card_visa").await;
    assert_eq!(paid.status(), 201);
    let paid = paid.text().await.unwrap();
    let payment: Value = serde_json::from_str(&paid).unwrap();
    assert_eq!(payment["status"], "succeeded", "{payment}");
    system.until_sent(&user.token, "payment_receipt").await;

    let declined = system.pay(&user.token, "order-2", "pm_card_visa_chargeDeclined").await;
    assert_eq!(declined.status(), 201);
    let declined: Value = declined.json().await.unwrap();
    assert_eq!(declined["status"], "requires_payment_method", "{declined}");
    assert!(declined["decline_code"].is_string(), "{declined}");
    system.until_sent(&user.token, "payment_failure").await;

    let profile = system.users.url(&format!("/api/users/{}", user.id));
    let new = format!("new-{}", user.email);
    let change = system.request(Method::PATCH, &profile).bearer_auth(&own);
    let change = change
        .header("if-match", "\"2\"")
        .json(&json!({"email": new, "current_password": PASSWORD}));
    assert_eq!(change.send().await.unwrap().status(), 200);
    system.until_sent(&user.token, "email_change_requested").await;
    system.until_sent(&user.token, "email_change").await;
    let token = system.mailed_token(&new, "verify-email");
    system.complete("email-verifications", &json!({"token": token})).await;
    system.until_sent(&user.token, "email_changed").await;
    assert_eq!(system.get(&me, &user.token).await["email"], new);

    let forgotten = system.request(Method::POST, &system.users.url("/api/password-resets"));
    let forgotten = forgotten.json(&json!({"email": new})).send().await.unwrap();
    assert_eq!(forgotten.status(), 202);
    system.until_sent(&user.token, "password_reset").await;
    let token = system.mailed_token(&new, "reset-password");
    let reset = json!({"token": token, "password": "another horse battery"});
    system.complete("password-resets", &reset).await;
    system.until_sent(&user.token, "password_changed").await;
    let old = json!({"email": new, "password": PASSWORD});
    let sessions = system.users.url("/api/sessions");
    let refused = system.request(Method::POST, &sessions).json(&old).send().await.unwrap();
    assert_eq!(refused.status(), 401);

    let again = system.pay(&user.token, "order-1", "pm_card_visa").await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.text().await.unwrap(), paid);
    assert_eq!(system.simulator.charges().len(), 1);
    let mut kinds = [
        "welcome",
        "payment_receipt",
        "payment_failure",
        "email_change_requested",
        "email_change",
        "email_changed",
        "password_reset",
        "password_changed",
    ];
    for kind in kinds {
        assert_eq!(system.sent(&user.token, kind).await.len(), 1, "{kind}");
    }

    let trace = system.traceparent.split('-').nth(1).unwrap();
    // The last link of the chain: request → charge → outbox → broker → inbox → mail.
    let log = system.notifications.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut worked: Vec<Value> =
        lines.filter(|line| line["message"] == "notification worked on").collect();
    worked.retain(|line| line["trace_id"] == trace);
    let told = worked.iter().map(|line| line["notification.kind"].as_str().unwrap());
    // Two of them are made at the same moment.
    let mut told: Vec<&str> = told.collect();
    told.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(told, kinds, "{log}");
    for service in [&system.users, &system.payments, &system.notifications] {
        let log = service.log();
        assert!(log.contains(trace), "{} does not know the trace:\n{log}", service.name());
        assert!(!log.contains(&user.email), "{} logs an address:\n{log}", service.name());
    }
}

#[tokio::test]
async fn two_requests_with_one_key_at_the_same_moment_charge_once() {
    let system = System::start().await;
    let user = system.new_user().await;
    let pay = || system.pay(&user.token, "order-1", "pm_card_visa");
    let answers = tokio::join!(pay(), pay(), pay(), pay());
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        let status = answer.status().as_u16();
        assert!([201, 409].contains(&status), "{status}");
    }
    let last: Value = pay().await.json().await.unwrap();
    assert_eq!(last["status"], "succeeded", "{last}");
    assert_eq!(system.simulator.charges().len(), 1);
}
