//! Paying: what comes of it, and who sees it.

use contracts::payment::{PaymentCompleted, PaymentFailed};
use contracts::{Envelope, Event};
use serde_json::{Value, json};

use crate::app::{Payer, TestApp};

#[tokio::test]
async fn a_payment_succeeds_and_is_found_under_its_location() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let paid = app.pay(&payer, "order-1", "pm_card_visa").await;
    assert_eq!(paid.status(), 201);
    assert!(!paid.headers().contains_key("idempotent-replayed"));
    let location = paid.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = paid.json().await.unwrap();
    assert_eq!((&body["status"], &body["amount"]), (&json!("succeeded"), &json!(1999)));
    assert_eq!(app.get(&location, &payer.token).await.json::<Value>().await.unwrap(), body);
    assert_eq!(
        (app.charges(), app.history().await),
        (1, vec![(1, "processing".to_owned(), None), (2, "succeeded".to_owned(), None),])
    );
}

#[tokio::test]
async fn a_decline_is_a_state_with_its_reason_and_charges_nothing() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let method = "pm_card_visa_chargeDeclinedInsufficientFunds";
    let declined = app.pay(&payer, "order-1", method).await;
    assert_eq!(declined.status(), 201);
    let body: Value = declined.json().await.unwrap();
    assert_eq!(body["status"], "requires_payment_method");
    assert_eq!(body["decline_code"], "insufficient_funds");
    assert!(!body["decline_message"].as_str().unwrap().is_empty());
    assert_eq!(
        (app.charges(), app.history().await),
        (
            0,
            vec![
                (1, "processing".to_owned(), None),
                (2, "requires_payment_method".to_owned(), Some("insufficient_funds".to_owned())),
            ]
        )
    );
}

#[tokio::test]
async fn a_payer_sees_the_own_payments_page_by_page_and_an_admin_all() {
    let app = TestApp::start().await;
    let (id, own) = app.one().await;
    let ada = app.payer();
    let admin = app.admin();
    for number in 0..3 {
        app.pay(&ada, &format!("order-{number}"), "pm_card_visa").await;
    }
    let path = format!("/api/payments/{id}");
    for (token, expected) in [(&own, 200), (&ada.token, 404), (&admin.token, 200)] {
        assert_eq!(app.get(&path, token).await.status(), expected);
    }

    let first: Value = app.get("/api/payments?limit=2", &ada.token).await.json().await.unwrap();
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/api/payments?limit=2&cursor={cursor}");
    let second: Value = app.get(&next, &ada.token).await.json().await.unwrap();
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), second.get("next_cursor")), (2, 1, None));
    let all: Value = app.get("/api/payments", &admin.token).await.json().await.unwrap();
    assert_eq!(count(&all), 4);
}

#[tokio::test]
async fn a_plain_client_hears_what_became_of_each_payment() {
    let app = TestApp::start().await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    let paid = app.pay(&payer, "order-1", "pm_card_visa").await;
    let paid: Value = paid.json().await.unwrap();
    let received = app.plain.next("ear").await;
    assert_eq!(received.routing_key.as_str(), PaymentCompleted::TYPE);
    let envelope: Value = serde_json::from_slice(&received.data).unwrap();
    assert_eq!(envelope["event_type"], "payment.completed");
    assert_eq!(envelope["timestamp"], paid["updated_at"]);
    let expected = json!({
        "payment_id": paid["payment_id"], "user_id": payer.id, "amount": 1999, "currency": "EUR",
    });
    assert_eq!(envelope["data"], expected);
    let completed: Envelope<PaymentCompleted> = serde_json::from_slice(&received.data).unwrap();
    assert_eq!((completed.data.user_id.as_uuid(), completed.data.amount), (payer.id, 1999));
    assert_eq!(completed.service, "payment-service");
    assert!(completed.event_id.is_some());

    app.pay(&payer, "order-2", "pm_card_visa_chargeDeclined").await;
    let failed = app.plain.next("ear").await;
    assert_eq!(failed.routing_key.as_str(), PaymentFailed::TYPE);
    let failed: Envelope<PaymentFailed> = serde_json::from_slice(&failed.data).unwrap();
    assert!(failed.data.decline_code.is_some() && !failed.data.reason.is_empty());
}

#[tokio::test]
async fn a_list_has_bounds_and_a_cursor_of_another_shape_is_refused() {
    let app = TestApp::start().await;
    let payer = app.payer();
    for query in ["limit=0", "limit=101", "limit=-1", "limit=x", "cursor=x", "page=2"] {
        let answer = app.get(&format!("/api/payments?{query}"), &payer.token).await;
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{query}");
    }
    // The cursor of somebody else's page shows nothing of theirs.
    let other = app.payer();
    let paid: Value = app.pay(&other, "order-1", "pm_card_visa").await.json().await.unwrap();
    let query = format!("/api/payments?cursor={}", paid["payment_id"].as_str().unwrap());
    let page: Value = app.get(&query, &payer.token).await.json().await.unwrap();
    assert_eq!(page, json!({"items": []}));
}

#[tokio::test]
async fn no_service_makes_a_payment_or_looks_at_one() {
    let app = TestApp::start().await;
    let token = app.service_token("notification-service", "payment-service");
    let service = Payer { id: uuid::Uuid::nil(), token };
    assert_eq!(app.pay(&service, "order-1", "pm_card_visa").await.status(), 403);
    assert_eq!(app.get("/api/payments", &service.token).await.status(), 403);
    assert_eq!((app.rows("payments").await, app.charges()), (0, 0));
}
