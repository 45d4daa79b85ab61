//! The export of what is kept of a user, for user-service.

use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn user_service_alone_gets_all_payments_of_a_user_in_pages_and_none_of_others() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let other = app.payer();
    let created = json!({"user_id": payer.id, "email": "ada@example.com", "name": "Ada"});
    app.plain.publish("user.created", &created).await;
    for key in ["order-1", "order-2", "order-3"] {
        assert_eq!(app.pay(&payer, key, "pm_card_visa").await.status(), 201);
    }
    app.pay(&other, "order-1", "pm_card_visa").await;
    let path = format!("/api/payments/exports/{}?limit=2", payer.id);
    let service = app.service_token("user-service", "payment-service");
    let first: Value = testkit::eventually("the customer is open", async || {
        let page: Value = app.get(&path, &service).await.json().await.unwrap();
        page["customer"].is_object().then_some(page)
    })
    .await;
    let items = first["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["payment_method"] == "pm_card_visa"), "{first}");
    let path = format!("{path}&cursor={}", first["next_cursor"].as_str().unwrap());
    let last: Value = app.get(&path, &service).await.json().await.unwrap();
    assert_eq!((items.len(), last["items"].as_array().unwrap().len()), (2, 1), "{last}");
    assert!(last.get("next_cursor").is_none(), "{last}");

    let others = [
        payer.token,
        app.admin().token,
        app.service_token("notification-service", "payment-service"),
    ];
    for token in others {
        assert_eq!(app.get(&path, &token).await.status(), 403);
    }
}
