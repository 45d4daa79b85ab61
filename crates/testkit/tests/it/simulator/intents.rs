//! Payment intents and customers.

use serde_json::json;

use super::{Provider, answer, payment};

#[tokio::test]
async fn a_good_card_pays_at_once() {
    let provider = Provider::start().await;
    let paid = answer(provider.pay("pm_card_visa")).await;
    assert_eq!(paid.status, 200);
    assert!(paid.request_id.starts_with("req_"));
    assert_eq!(paid.body["object"], "payment_intent");
    assert_eq!(paid.body["status"], "succeeded");
    assert_eq!(paid.body["amount_received"], 1999);
    assert_eq!(paid.body["metadata"], json!({ "payment_id": "0198c0de" }));

    let id = paid.body["id"].as_str().unwrap();
    let charges = provider.simulator.charges();
    assert_eq!(charges.len(), 1);
    assert_eq!((charges[0].payment_intent.as_str(), charges[0].amount), (id, 1999));
    assert_eq!(paid.body["latest_charge"], charges[0].id);
    assert_eq!(provider.get(&format!("/v1/payment_intents/{id}")).await.body, paid.body);
}

#[tokio::test]
async fn each_refused_card_has_its_reason_and_moves_no_money() {
    let provider = Provider::start().await;
    let refused = [
        ("pm_card_visa_chargeDeclined", "card_declined", Some("generic_decline")),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            Some("insufficient_funds"),
        ),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", Some("lost_card")),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", Some("stolen_card")),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        (
            "pm_card_authenticationRequired",
            "authentication_required",
            Some("authentication_required"),
        ),
    ];
    for (payment_method, code, decline_code) in refused {
        let declined = answer(provider.pay(payment_method)).await;
        let error = &declined.body["error"];
        assert_eq!(declined.status, 402, "{payment_method}");
        assert_eq!(error["type"], "card_error");
        assert_eq!(error["code"], code);
        assert_eq!(error["decline_code"].as_str(), decline_code);
        assert!(!error["message"].as_str().unwrap().is_empty());
        let intent = &error["payment_intent"];
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["last_payment_error"]["code"], code);
    }
    assert_eq!(provider.simulator.charges(), []);
}

#[tokio::test]
async fn a_refused_payment_can_be_tried_again_with_another_card() {
    let provider = Provider::start().await;
    let declined = answer(provider.pay("pm_card_visa_chargeDeclined")).await;
    let id = declined.body["error"]["payment_intent"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/payment_intents/{id}/confirm");
    let paid = answer(provider.post(&path, &[("payment_method", "pm_card_mastercard")])).await;
    assert_eq!(paid.body["status"], "succeeded");
    assert_eq!(paid.body["last_payment_error"], json!(null));
    let again = answer(provider.post(&path, &[("payment_method", "pm_card_mastercard")])).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.body["error"]["code"], "payment_intent_unexpected_state");
    assert_eq!(provider.simulator.charges().len(), 1);
}

#[tokio::test]
async fn a_card_that_wants_its_holder_waits_for_an_action() {
    let provider = Provider::start().await;
    let mut parameters = payment("pm_card_authenticationRequired");
    parameters.retain(|(name, _)| *name != "error_on_requires_action");
    let waiting = answer(provider.post("/v1/payment_intents", &parameters)).await;
    assert_eq!(waiting.body["status"], "requires_action");
    assert_eq!(waiting.body["next_action"]["type"], "use_stripe_sdk");
}

#[tokio::test]
async fn money_can_be_reserved_without_taking_it() {
    let provider = Provider::start().await;
    let mut parameters = payment("pm_card_visa");
    parameters.push(("capture_method", "manual"));
    let reserved = answer(provider.post("/v1/payment_intents", &parameters)).await;
    assert_eq!(reserved.body["status"], "requires_capture");
    assert_eq!(reserved.body["amount_capturable"], 1999);
    assert_eq!(reserved.body["amount_received"], 0);
    assert!(!provider.simulator.charges()[0].captured);
}

#[tokio::test]
async fn an_intent_without_confirmation_is_confirmed_later() {
    let provider = Provider::start().await;
    let parameters = [("amount", "500"), ("currency", "USD"), ("payment_method_types[]", "card")];
    let open = answer(provider.post("/v1/payment_intents", &parameters)).await;
    assert_eq!(open.body["status"], "requires_payment_method");
    assert_eq!(open.body["currency"], "usd");
    let path = format!("/v1/payment_intents/{}/confirm", open.body["id"].as_str().unwrap());
    assert_eq!(answer(provider.post(&path, &[])).await.status, 400);
    let paid = answer(provider.post(&path, &[("payment_method", "pm_card_visa")])).await;
    assert_eq!(paid.body["status"], "succeeded");
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let provider = Provider::start().await;
    let cases = [
        ("amount", "49", "amount_too_small", "amount"),
        ("amount", "19.99", "parameter_invalid_integer", "amount"),
        ("currency", "", "parameter_invalid_empty", "currency"),
        ("payment_method", "pm_nobody", "resource_missing", "payment_method"),
        ("customer", "cus_nobody", "resource_missing", "customer"),
        ("card[number]", "4242424242424242", "parameter_unknown", "card[number]"),
    ];
    for (name, value, code, parameter) in cases {
        let mut parameters = payment("pm_card_visa");
        parameters.retain(|(known, _)| *known != name);
        parameters.push((name, value));
        let refused = answer(provider.post("/v1/payment_intents", &parameters)).await;
        assert_eq!(refused.status, 400, "{name}={value}");
        assert_eq!(refused.body["error"]["type"], "invalid_request_error");
        assert_eq!(refused.body["error"]["code"], code);
        assert_eq!(refused.body["error"]["param"], parameter);
        assert!(!refused.body.to_string().contains("4242424242424242"));
    }
}

#[tokio::test]
async fn a_payment_that_may_redirect_needs_a_page_to_return_to() {
    let provider = Provider::start().await;
    let mut parameters = payment("pm_card_visa");
    parameters.retain(|(name, _)| !name.starts_with("automatic"));
    assert_eq!(answer(provider.post("/v1/payment_intents", &parameters)).await.status, 400);
    parameters.push(("return_url", "https://example.com/done"));
    assert_eq!(answer(provider.post("/v1/payment_intents", &parameters)).await.status, 200);
}

#[tokio::test]
async fn only_a_test_key_is_taken_and_none_is_repeated() {
    let provider = Provider::start().await;
    let url = format!("{}/v1/payment_intents/pi_x", provider.simulator.url());
    let without = answer(provider.client.get(&url)).await;
    assert_eq!(without.status, 401);
    assert_eq!(without.body["error"]["type"], "invalid_request_error");
    let live = answer(provider.client.get(&url).bearer_auth("sk_live_oops1234")).await;
    assert_eq!(live.status, 401);
    assert!(!live.body.to_string().contains("1234"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let provider = Provider::start().await;
    let intent = provider.get("/v1/payment_intents/pi_none").await;
    assert_eq!(
        (intent.status.as_u16(), &intent.body["error"]["code"]),
        (404, &json!("resource_missing"))
    );
    assert_eq!(provider.get("/v1/customers/cus_none").await.status, 404);
    assert_eq!(provider.get("/v1/refunds").await.status, 404);
}

#[tokio::test]
async fn json_is_not_what_it_takes() {
    let provider = Provider::start().await;
    let request = provider.request(reqwest::Method::POST, "/v1/payment_intents");
    assert_eq!(answer(request.json(&json!({ "amount": 1999 }))).await.status, 400);
}

#[tokio::test]
async fn a_customer_is_made_and_charged() {
    let provider = Provider::start().await;
    let made = answer(provider.post("/v1/customers", &[("metadata[user_id]", "7")])).await;
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(provider.get(&format!("/v1/customers/{id}")).await.body, made.body);
    let mut parameters = payment("pm_card_visa");
    parameters.push(("customer", id));
    let paid = answer(provider.post("/v1/payment_intents", &parameters)).await;
    assert_eq!(paid.body["customer"], id);
}

#[tokio::test]
async fn a_payment_is_found_by_its_metadata() {
    let provider = Provider::start().await;
    let paid = answer(provider.pay("pm_card_visa")).await;
    let found = provider
        .get("/v1/payment_intents/search?query=metadata%5B%27payment_id%27%5D%3A%270198c0de%27")
        .await;
    assert_eq!(found.body["object"], "search_result");
    assert_eq!(found.body["data"], json!([paid.body]));
    let other = provider.get("/v1/payment_intents/search?query=metadata['payment_id']:'7'").await;
    assert_eq!(other.body["data"], json!([]));
}
