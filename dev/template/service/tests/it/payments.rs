// template: if events=payment
//! What a user's payment leads to.

use serde_json::json;
use uuid::Uuid;

use crate::app::TestApp;

#[tokio::test]
async fn a_payment_delivered_twice_closes_what_the_user_has_once_and_nothing_of_others() {
    let app = TestApp::start().await;
    let ada = app.person();
    let bob = app.person();
    let paid = app.made(&ada, "First").await;
    let kept = app.made(&bob, "First").await;
    let data = json!({
        "payment_id": Uuid::now_v7(), "user_id": ada.id, "amount": 1999, "currency": "EUR",
    });
    tokio::join!(
        app.plain.publish("payment.completed", &data),
        app.plain.publish("payment.completed", &data),
    );
    app.until_handled(1).await;
    let shown = app.shown(&paid).await;
    assert_eq!((&shown["status"], &shown["title"]), (&json!("closed"), &json!("First")));
    assert_eq!(app.shown(&kept).await, kept);
    assert_eq!(app.count("select count(*) from samples where version = 2").await, 1);
}
// template: end
