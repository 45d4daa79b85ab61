//! Whatever is sent, the answer is a problem document with the right status, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{problem, unreadable};

use crate::app::TestApp;

const CARD: &str = "4242424242424242";

#[tokio::test]
async fn every_bad_payment_has_its_status_echoes_no_card_number_and_writes_nothing() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let good = json!({"amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string().into_bytes()
    };
    let json = "application/json";
    let mut cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("unknown field", json, with("card", CARD.into()), 422),
        ("wrong type", json, with("amount", CARD.into()), 422),
        ("fraction", json, with("amount", json!(19.99)), 422),
        ("nothing to pay", json, with("amount", 0.into()), 422),
        ("too much", json, with("amount", json!(100_000_000)), 422),
        ("unknown currency", json, with("currency", "eur".into()), 422),
        ("card number as method", json, with("payment_method", CARD.into()), 422),
        ("card number in method", json, with("payment_method", format!("pm_{CARD}").into()), 422),
        ("card number in text", json, with("description", format!("card {CARD}").into()), 422),
        ("spaced card number", json, with("description", "4242 4242 4242 4242".into()), 422),
        ("card number as text", json, with("description", json!(4_242_424_242_424_242_u64)), 422),
        ("card number in a list", json, with("description", json!([CARD])), 422),
        ("serde's words", json, with("amount", format!("{CARD}, expected i64").into()), 422),
        (
            "no-break spaces",
            json,
            with("description", "4242\u{a0}4242\u{a0}4242\u{a0}4242".into()),
            422,
        ),
        ("NUL in text", json, with("description", "a\u{0}b".into()), 422),
        ("two lines of text", json, with("description", "a\nb".into()), 422),
        ("NUL in method", json, with("payment_method", "pm_a\u{0}b".into()), 422),
        ("long text", json, with("description", "x".repeat(201).into()), 422),
        ("negative", json, with("amount", json!(-1)), 422),
        ("beyond 64 bits", json, with("amount", json!(1e30)), 422),
        ("no object", json, b"[]".to_vec(), 422),
    ];
    cases.extend(unreadable(&good, "description"));
    for (case, content_type, body, expected) in cases {
        let request = app.request(Method::POST, "/api/payments").bearer_auth(&payer.token);
        let request = request.header("idempotency-key", case).header("content-type", content_type);
        let (status, document) = problem(request.body(body)).await;
        assert_eq!(status, expected, "{case}: {document}");
        let text = document.to_string();
        assert!(!text.contains(CARD) && !text.contains("4242 4242"), "{case} echoes: {text}");
    }
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
