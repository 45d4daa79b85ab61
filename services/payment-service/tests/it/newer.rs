//! Rows that a newer version of the service has written: shown as they are, and nothing is decided about
//! them.

use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn a_status_and_a_currency_of_a_newer_version_are_shown_and_are_not_charged() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let pool = app.fixture.database.pool().await;
    app.pay(&payer, "order-1", "pm_card_visa").await;
    let newer = "alter table payments drop constraint payments_status_check;
                 insert into payments (id, user_id, amount, currency, payment_method, status, attempts,
                                       next_attempt_at, version, created_at, updated_at)
                 select gen_random_uuid(), user_id, 100, currencies, 'pm_card_visa', statuses, 0,
                        case when statuses = 'processing' then now() end, 1, now(), now()
                 from payments, (values ('EUR', 'disputed'), ('XTS', 'processing')) newer (currencies,
                                                                                          statuses)";
    sqlx::raw_sql(newer).execute(&pool).await.unwrap();
    app.pay(&payer, "order-2", "pm_card_visa").await;

    let list = app.get("/api/payments?limit=100", &payer.token).await;
    assert_eq!(list.status(), 200);
    let list: Value = list.json().await.unwrap();
    let shown = |field: &str, word: &str| {
        let items = list["items"].as_array().unwrap().iter();
        items.filter(|item| item[field] == word).count()
    };
    assert_eq!((shown("status", "disputed"), shown("currency", "XTS")), (1, 1), "{list}");
    assert_eq!(shown("status", "succeeded"), 2, "{list}");
    let attempts = "select attempts from payments where currency = 'XTS'";
    let attempts: i32 = sqlx::query_scalar(attempts).fetch_one(&pool).await.unwrap();
    assert_eq!((attempts, app.charges()), (0, 2));
}
