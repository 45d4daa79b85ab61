//! The export of what is kept of a user, for user-service.

use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn user_service_alone_gets_the_contact_and_the_text_of_each_notification() {
    let app = TestApp::start().await;
    let person = app.welcomed().await;
    let other = app.welcomed().await;
    app.paid(person.id, uuid::Uuid::now_v7()).await;
    app.until(&person, "payment_receipt", "sent").await;
    let path = format!("/api/notifications/exports/{}", person.id);
    let service = app.service_token("user-service", "notification-service");
    let export: Value = app.get(&path, &service).await.json().await.unwrap();
    assert_eq!(export["contact"]["email"], person.email, "{export}");
    let items = export["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{export}");
    assert!(items[0]["text"].as_str().unwrap().contains("19.99 EUR"), "{export}");
    assert!(!export.to_string().contains(&other.email), "{export}");

    for token in [person.token, app.payment_service()] {
        assert_eq!(app.get(&path, &token).await.status(), 403);
    }
}
