//! The version before works on while a migration of the next one changes the type of a column.

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;

use crate::system::{Fixture, Signed, System};

/// Callers at the same time: more than a service has connections to its database.
const CALLERS: usize = 8;

/// Requests of a stream.
const STREAM: usize = 300;

/// Of the databases of user-service, payment-service and notification-service.
const ALTERATIONS: [&[&str]; 3] = [
    &[
        "alter table users alter column name type varchar(500)",
        "alter table sessions alter column created_at type timestamptz(3)",
    ],
    &[
        "alter table payments alter column description type varchar(500)",
        "alter table idempotency_keys alter column response_body type varchar(10000)",
    ],
    &[
        "alter table notifications alter column subject type varchar(500)",
        "alter table contacts alter column name type varchar(500)",
    ],
];
/// Of each of them.
const MESSAGING: &str = "alter table messaging_outbox alter column routing_key type varchar(300)";

#[tokio::test]
async fn a_column_of_another_type_costs_no_request_no_payment_and_no_mail() {
    let fixture = Fixture::set_up().await;
    let pools = join_all(fixture.databases.iter().map(testkit::TestDatabase::pool)).await;
    let users = fixture.environment(0);
    let system = fixture.start(users).await;
    let user = system.new_user().await;
    for round in 0..3 {
        join_all((0..CALLERS).map(|caller| call(&system, &user, round, caller))).await;
        // A receipt takes the relay of one service, and the consumer, the worker and the relay of
        // another.
        let receipts = (round + 1) * CALLERS;
        testkit::eventually(&format!("{receipts} receipts are sent"), async || {
            (system.sent(&user.token, "payment_receipt").await.len() == receipts).then_some(())
        })
        .await;
        for (pool, alterations) in pools.iter().zip(ALTERATIONS) {
            for alteration in alterations.iter().chain([&MESSAGING]) {
                alter(pool, round, alteration).await;
            }
        }
    }
    assert_eq!(system.simulator.charges().len(), 3 * CALLERS);
}

/// The first time as it says, the second time otherwise.
async fn alter(pool: &PgPool, round: usize, alteration: &'static str) {
    let alteration = alteration.replace("00)", &format!("0{round})"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(alteration)).execute(pool).await.unwrap();
}

/// As many requests as go through, a third of them payments, and among them the changes.
#[tokio::test]
async fn a_steady_stream_of_requests_sees_nothing_of_a_column_that_gets_another_type() {
    let fixture = Fixture::set_up().await;
    let pool = fixture.databases[1].pool().await;
    let users = fixture.environment(0);
    let system = fixture.start(users).await;
    let user = &system.new_user().await;
    let request = async |number: usize| {
        if number % 100 == 50 {
            alter(&pool, number / 100, ALTERATIONS[1][0]).await;
        }
        if number.is_multiple_of(3) {
            let key = format!("stream-{number}");
            return system.pay(&user.token, &key, "pm_card_visa").await.status();
        }
        let url = system.payments.url("/api/payments");
        let asked = system.request(Method::GET, &url).bearer_auth(&user.token);
        asked.send().await.unwrap().status()
    };
    let requests = stream::iter((0..STREAM).map(request));
    let answers: Vec<StatusCode> = requests.buffer_unordered(CALLERS).collect().await;
    let failed: Vec<_> = answers.iter().filter(|status| !status.is_success()).collect();
    assert!(answers.len() == STREAM && failed.is_empty(), "{failed:?}");
    assert_eq!(system.simulator.charges().len(), STREAM.div_ceil(3));
}

/// Asks for all that one caller may; every answer is a success.
async fn call(system: &System, user: &Signed, round: usize, caller: usize) {
    let somebody = system.new_user().await;
    system.get(&system.users.url("/api/users/me"), &somebody.token).await;
    let credentials = json!({"email": user.email, "password": crate::system::PASSWORD});
    let session = system.request(Method::POST, &system.users.url("/api/sessions"));
    let session = session.json(&credentials).send().await.unwrap();
    assert_eq!(session.status(), StatusCode::CREATED);
    let session: serde_json::Value = session.json().await.unwrap();
    let refresh = system.request(Method::POST, &system.users.url("/api/sessions/refresh"));
    let refresh = refresh.json(&json!({"refresh_token": session["refresh_token"]}));
    assert_eq!(refresh.send().await.unwrap().status(), StatusCode::OK);
    let key = format!("order-{round}-{caller}");
    let paid = system.pay(&user.token, &key, "pm_card_visa").await;
    assert_eq!(paid.status(), StatusCode::CREATED, "{}", paid.text().await.unwrap());
    let again = system.pay(&user.token, &key, "pm_card_visa").await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    for url in [
        system.users.url("/api/users/me"),
        system.payments.url("/api/payments"),
        system.notifications.url("/api/notifications"),
    ] {
        let answer = system.request(Method::GET, &url).bearer_auth(&user.token);
        assert_eq!(answer.send().await.unwrap().status(), StatusCode::OK, "{url}");
    }
}
