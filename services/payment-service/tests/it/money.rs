//! Amounts: what is charged is what the payer was told, and what cannot be charged is refused.

use payment_service::domain::Currency;
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn a_krona_is_charged_as_a_krona() {
    let app = TestApp::start().await;
    let paid = app.pay_money(&app.payer(), 500, "ISK").await;
    let paid: Value = paid.json().await.unwrap();
    assert_eq!((&paid["status"], &paid["amount"]), (&json!("succeeded"), &json!(500)));
    let charge = app.fixture.simulator.charges().pop().unwrap();
    assert_eq!(charge.thousandths(), 500_000, "{charge:?}");
}

/// As money, by the provider's own rules and by those that readers of the event go by.
#[tokio::test]
async fn in_every_currency_the_money_that_is_charged_is_the_money_that_is_told() {
    let app = TestApp::start().await;
    app.plain.listen("payment.events", "ear").await;
    let payer = app.payer();
    for currency in Currency::all() {
        let amount = currency.least() + 7 * currency.step();
        let paid = app.pay_money(&payer, amount, currency.as_str()).await;
        let paid: Value = paid.json().await.unwrap();
        assert_eq!(paid["status"], "succeeded", "{paid}");
        let told: Value = serde_json::from_slice(&app.plain.next("ear").await.data).unwrap();
        let told = &told["data"];
        let code = currency.as_str();
        assert_eq!((&told["amount"], &told["currency"]), (&json!(amount), &json!(code)));
        let decimals = u32::from(contracts::currency::decimals(code));
        let told = amount * 10_i64.pow(3 - decimals);
        let charge = app.fixture.simulator.charges().pop().unwrap();
        assert_eq!(charge.currency, code.to_ascii_lowercase());
        assert_eq!(charge.thousandths(), told, "{amount} {code}: {charge:?}");
    }
}

#[tokio::test]
async fn an_amount_that_the_provider_cannot_take_is_refused_and_nobody_is_told_of_a_decline() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let refused = [
        (1999, "KWD"),
        (1999, "BHD"),
        (1999, "JOD"),
        (1999, "OMR"),
        (1999, "TND"),
        (49, "EUR"),
        (1, "EUR"),
        (49, "USD"),
        (1, "JPY"),
        (1500, "HUF"),
        (100_000_000, "EUR"),
        (99_999_999, "KWD"),
        (1_000_000, "ISK"),
        (1_000_000_000_000, "IDR"),
        (0, "ISK"),
        (-1999, "EUR"),
    ];
    for (amount, currency) in refused {
        let answer = app.pay_money(&payer, amount, currency).await;
        assert_eq!(answer.status(), 422, "{amount} {currency}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["pointer"], "/amount", "{amount} {currency}: {problem}");
    }
    assert_eq!((app.rows("payments").await, app.rows("messaging_outbox").await), (0, 0));
    assert_eq!(app.fixture.simulator.requests(), []);
}

#[tokio::test]
async fn the_least_and_the_most_of_a_currency_are_charged() {
    let app = TestApp::start().await;
    let payer = app.payer();
    let taken = [
        (1, "ISK"),
        (999_999, "ISK"),
        (10, "KWD"),
        (99_999_990, "KWD"),
        (50, "EUR"),
        (99_999_999, "EUR"),
        (17_500, "HUF"),
        (999_999_999_999, "IDR"),
    ];
    for (amount, currency) in taken {
        let answer: Value = app.pay_money(&payer, amount, currency).await.json().await.unwrap();
        assert_eq!(answer["status"], "succeeded", "{amount} {currency}: {answer}");
        let path = format!("/api/payments/{}", answer["payment_id"].as_str().unwrap());
        let read: Value = app.get(&path, &payer.token).await.json().await.unwrap();
        assert_eq!(read["amount"], amount, "{currency}");
    }
    assert_eq!(app.charges(), taken.len());
}
