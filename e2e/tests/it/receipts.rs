//! Receipts: the money that a payer reads is the money that the provider took.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::eventually;

use crate::system::System;

/// Minor units that every currency takes.
const AMOUNT: i64 = 20_010;

#[tokio::test]
async fn in_every_currency_the_receipt_names_the_money_that_was_taken() {
    let system = System::start().await;
    let user = system.new_user().await;
    let currencies = currencies();
    for currency in &currencies {
        let paid = system.pay_money(&user.token, currency, "pm_card_visa", (AMOUNT, currency));
        let paid: Value = paid.await.json().await.unwrap();
        assert_eq!(paid["status"], "succeeded", "{currency}: {paid}");
    }
    let receipts = eventually("all receipts are sent", async || {
        let receipts: BTreeMap<String, i64> =
            system.mails_to(&user.email).iter().filter_map(|mail| receipt(mail)).collect();
        (receipts.len() == currencies.len()).then_some(receipts)
    })
    .await;
    let charges = system.simulator.charges();
    let taken: BTreeMap<String, i64> = charges
        .iter()
        .map(|charge| (charge.currency.to_ascii_uppercase(), charge.thousandths()))
        .collect();
    assert_eq!(receipts, taken);
}

/// The currencies that are taken, as the document of the API lists them.
fn currencies() -> Vec<String> {
    let document = include_str!("../../../services/payment-service/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let codes = &document["components"]["schemas"]["NewPayment"]["properties"]["currency"]["enum"];
    let codes: Vec<String> = serde_json::from_value(codes.clone()).unwrap();
    assert!(codes.len() > 30 && codes.contains(&"ISK".to_owned()), "{codes:?}");
    codes
}

/// Currency and thousandths of its main unit that a mail says were received.
fn receipt(mail: &str) -> Option<(String, i64)> {
    let subject = mail.lines().find_map(|line| line.strip_prefix("Subject: Receipt: "))?;
    let (amount, currency) = subject.split_once(' ').unwrap();
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    assert!(part.len() <= 3, "{subject}");
    let digits = format!("{whole}{part:0<3}");
    Some((currency.trim().to_owned(), digits.parse().unwrap()))
}
