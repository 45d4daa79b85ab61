//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{assert_refuses_bodies, problem};

use crate::app::TestApp;

const CARD: &str = "4242424242424242";

#[tokio::test]
async fn every_bad_payment_has_its_status_echoes_no_card_number_and_writes_nothing() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let good = json!({"amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa"});
    let fields = [
        ("unknown field", "card", CARD.into()),
        ("wrong type", "amount", CARD.into()),
        ("fraction", "amount", json!(19.99)),
        ("nothing to pay", "amount", 0.into()),
        ("too much", "amount", json!(100_000_000)),
        ("unknown currency", "currency", "eur".into()),
        ("card number as method", "payment_method", CARD.into()),
        ("card number in method", "payment_method", format!("pm_{CARD}").into()),
        ("card number in text", "description", format!("card {CARD}").into()),
        ("spaced card number", "description", "4242 4242 4242 4242".into()),
        ("card number as text", "description", json!(4_242_424_242_424_242_u64)),
        ("card number in a list", "description", json!([CARD])),
        ("serde's words", "amount", format!("{CARD}, expected i64").into()),
        ("no-break spaces", "description", "4242\u{a0}4242\u{a0}4242\u{a0}4242".into()),
        ("NUL in text", "description", "a\u{0}b".into()),
        ("two lines of text", "description", "a\nb".into()),
        ("NUL in method", "payment_method", "pm_a\u{0}b".into()),
        ("long text", "description", "x".repeat(201).into()),
        ("negative", "amount", json!(-1)),
        ("beyond 64 bits", "amount", json!(1e30)),
    ];
    let request = |case: &str| {
        let request = app.request(Method::POST, "/api/payments").bearer_auth(&payer.token);
        request.header("idempotency-key", case)
    };
    assert_refuses_bodies(request, &good, "description", &fields, &[CARD, "4242 4242"]).await;
    assert_eq!((app.rows("payments").await, app.rows("idempotency_keys").await), (0, 0));
    assert_eq!(app.charges(), 0);
    for text in [CARD, "4242 4242", "4242\u{a0}4242"] {
        assert_eq!(app.tables_with(text).await, [""; 0], "{text}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_a_payment_is_reported_in_one_answer() {
    let app = TestApp::start().await;
    let payer = app.payer();
    for (body, expected) in [
        (
            json!({"amount": 0, "currency": "EUR", "payment_method": "x", "description": "a\nb"}),
            ["/amount", "/description", "/payment_method"],
        ),
        (
            json!({"amount": 5.5, "currency": "EUR", "card": CARD}),
            ["/amount", "/card", "/payment_method"],
        ),
    ] {
        let (status, document) = problem(app.paying(&payer, "order-1", "x").json(&body)).await;
        assert_eq!(status, 422, "{document}");
        let errors = document["errors"].as_array().unwrap().iter();
        let mut told: Vec<_> = errors.map(|error| error["pointer"].as_str().unwrap()).collect();
        told.sort_unstable();
        assert_eq!(told, expected, "{document}");
    }
}

#[tokio::test]
async fn a_whole_amount_may_be_written_with_a_fraction() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let body = r#"{"amount": 1.999e3, "currency": "EUR", "payment_method": "pm_card_visa"}"#;
    let request = app.request(Method::POST, "/api/payments").bearer_auth(&payer.token);
    let request = request.header("idempotency-key", "order-1").header("prefer", "wait=30");
    let paid = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(paid.status(), 201);
    // A request has ten seconds, of which half a second is kept for the answer.
    let granted = paid.headers()["preference-applied"].to_str().unwrap().strip_prefix("wait=");
    assert!(granted.unwrap().parse::<u64>().unwrap() <= 9, "{granted:?}");
    let paid: Value = paid.json().await.unwrap();
    assert_eq!(paid["amount"], 1999);
}

#[tokio::test]
async fn a_card_number_in_a_path_or_a_query_does_not_come_back() {
    let app = TestApp::start().await;
    let payer = app.payer();
    for path in [
        format!("/api/payments/{CARD}"),
        format!("/api/payments?cursor={CARD}"),
        format!("/api/payments?limit={CARD}"),
        format!("/api/{CARD}"),
    ] {
        let (status, document) =
            problem(app.request(Method::GET, &path).bearer_auth(&payer.token)).await;
        assert!([400, 404].contains(&status), "{path}: {status}");
        assert!(!document.to_string().contains(CARD), "{path} echoes: {document}");
    }
}

#[tokio::test]
async fn a_description_within_its_bounds_is_kept_as_it_is() {
    let app = TestApp::start().await;
    let payer = app.payer();
    for (number, text) in
        ["", "Größe 42 — 名前 🎁", "order 20260101-77", &"x".repeat(200)].into_iter().enumerate()
    {
        let body = json!({
            "amount": 1999, "currency": "JPY", "payment_method": "pm_card_visa", "description": text,
        });
        let request = app.paying(&payer, &format!("order-{number}"), "x").json(&body);
        let paid: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!((&paid["description"], &paid["status"]), (&json!(text), &json!("succeeded")));
    }
}

#[tokio::test]
async fn every_bad_token_is_a_401_and_bad_paths_have_their_own_status() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let unknown = "/api/payments/00000000-0000-7000-8000-000000000000";
    app.assert_needs_token("/api/payments").await;
    app.assert_needs_token(unknown).await;
    app.assert_refused(&payer.token, &[("/api/payments/7", 400), (unknown, 404)]).await;
    assert_eq!(problem(app.request(Method::GET, "/api/nothing")).await.0, 404);
    let deleting = app.request(Method::DELETE, "/api/payments").bearer_auth(&payer.token);
    assert_eq!(problem(deleting).await.0, 405);
}
