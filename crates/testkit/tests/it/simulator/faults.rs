//! Faults of the payment provider: slow, failing and declining answers.

use std::time::Duration;

use reqwest::RequestBuilder;
use testkit::eventually;
use testkit::simulator::Fault;

use super::{Provider, answer};

const IMPATIENT: Duration = Duration::from_millis(200);

fn pay(provider: &Provider) -> RequestBuilder {
    provider.pay("pm_card_visa").header("idempotency-key", "payment-1")
}

#[tokio::test]
async fn an_error_or_a_full_house_does_nothing_and_the_next_try_pays() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(1, Fault::Status(503));
    provider.simulator.fail_next(2, Fault::RateLimited);
    assert_eq!(answer(pay(&provider)).await.status, 503);
    let limited = pay(&provider).send().await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(answer(pay(&provider)).await.body["error"]["code"], "rate_limit");
    assert_eq!(provider.simulator.charges(), []);
    assert_eq!(answer(pay(&provider)).await.body["status"], "succeeded");
}

#[tokio::test]
async fn a_request_may_never_be_answered_nor_done() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(1, Fault::Timeout);
    let error = pay(&provider).timeout(IMPATIENT).send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(provider.simulator.charges(), []);
    assert_eq!(provider.simulator.requests()[0].status, None);
    assert!(!answer(pay(&provider)).await.replayed);
}

#[tokio::test]
async fn a_slow_charge_is_made_although_the_client_has_given_up() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(1, Fault::Slow(IMPATIENT * 2));
    assert!(pay(&provider).timeout(IMPATIENT).send().await.unwrap_err().is_timeout());
    let charged = async || (provider.simulator.charges().len() == 1).then_some(());
    eventually("the charge is made", charged).await;
    let replayed = answer(pay(&provider)).await;
    assert_eq!((replayed.status.as_u16(), replayed.replayed), (200, true));
    assert_eq!(provider.simulator.charges().len(), 1);
}

#[tokio::test]
async fn a_connection_lost_after_charging_leaves_the_answer_to_be_asked_for_again() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(1, Fault::DropConnectionAfterCharging);
    let error = pay(&provider).send().await.unwrap_err();
    assert!(!error.is_timeout() && !error.is_status(), "{error}");
    assert_eq!(provider.simulator.charges().len(), 1);
    let replayed = answer(pay(&provider)).await;
    assert_eq!((replayed.body["status"].as_str(), replayed.replayed), (Some("succeeded"), true));
    assert_eq!(provider.simulator.charges().len(), 1);
}

#[tokio::test]
async fn an_error_in_the_middle_is_replayed_and_only_a_search_tells_what_happened() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(1, Fault::ErrorAfterCharging);
    assert_eq!(answer(pay(&provider)).await.status, 500);
    let replayed = answer(pay(&provider)).await;
    assert_eq!((replayed.status.as_u16(), replayed.replayed), (500, true));
    let found =
        provider.get("/v1/payment_intents/search?query=metadata['payment_id']:'0198c0de'").await;
    assert_eq!(found.body["data"][0]["status"], "succeeded");
}

#[tokio::test]
async fn faults_wait_for_calls_with_a_key_and_can_be_called_off() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(5, Fault::Status(500));
    let url = format!("{}/v1/payment_intents", provider.simulator.url());
    assert_eq!(answer(provider.client.post(url)).await.status, 401);
    assert_eq!(answer(pay(&provider)).await.status, 500);
    provider.simulator.recover();
    assert_eq!(answer(pay(&provider)).await.status, 200);
}

#[tokio::test]
async fn an_error_without_a_charge_looks_as_one_with_a_charge_until_somebody_looks() {
    let provider = Provider::start().await;
    provider.simulator.fail_next(1, Fault::ErrorWithoutCharging);
    assert_eq!(answer(pay(&provider)).await.status, 500);
    let replayed = answer(pay(&provider)).await;
    assert_eq!((replayed.status.as_u16(), replayed.replayed), (500, true));
    assert_eq!(provider.simulator.charges(), []);
}

#[tokio::test]
async fn a_call_that_is_refused_does_nothing_and_leaves_its_key_as_it_was() {
    let provider = Provider::start().await;
    for (fault, kind) in
        [(Fault::Rejected, "invalid_request_error"), (Fault::KeyReused, "idempotency_error")]
    {
        provider.simulator.fail_next(1, fault);
        let refused = answer(pay(&provider)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["error"]["type"]), (400, &kind.into()));
    }
    assert_eq!(provider.simulator.charges(), []);
    assert!(!answer(pay(&provider)).await.replayed);
}

#[tokio::test]
async fn a_search_that_lags_does_not_show_what_is_there_and_shows_it_later() {
    let provider = Provider::start().await;
    provider.simulator.search_lags(Duration::from_secs(3600));
    let paid = answer(pay(&provider)).await;
    let search = "/v1/payment_intents/search?query=metadata['payment_id']:'0198c0de'";
    assert_eq!(provider.get(search).await.body["data"], serde_json::json!([]));
    let named = format!("/v1/payment_intents/{}", paid.body["id"].as_str().unwrap());
    assert_eq!(provider.get(&named).await.body, paid.body);
    provider.simulator.search_lags(Duration::ZERO);
    assert_eq!(provider.get(search).await.body["data"], serde_json::json!([paid.body]));
}

#[tokio::test]
async fn every_call_goes_wrong_while_a_file_says_so() {
    let provider = Provider::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.json");
    provider.simulator.apply_faults_of(&file);
    let says = |fault: &str| {
        let new = folder.path().join("new");
        let since = r#""target":"provider","since_ms":0"#;
        std::fs::write(&new, format!(r#"{{"faults":[{{{since},{fault}}}]}}"#)).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    assert_eq!(answer(provider.pay("pm_card_visa")).await.status, 200);

    says(r#""kind":"decline","code":"insufficient_funds""#);
    for _ in 0..2 {
        let declined = answer(provider.pay("pm_card_visa")).await;
        assert_eq!(declined.status, 402);
        assert_eq!(declined.body["error"]["decline_code"], "insufficient_funds");
    }
    says(r#""kind":"fail","status":502"#);
    assert_eq!(answer(provider.pay("pm_card_visa")).await.status, 502);
    says(r#""kind":"slow","by_ms":200"#);
    let begin = std::time::Instant::now();
    assert_eq!(answer(provider.pay("pm_card_visa")).await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(200));

    says(r#""kind":"fail","status":502,"until_ms":1"#);
    assert_eq!(answer(provider.pay("pm_card_visa")).await.status, 200, "it is over");
    says(r#""kind":"fail","status":502"#);
    assert_eq!(answer(provider.pay("pm_card_visa")).await.status, 502);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(answer(provider.pay("pm_card_visa")).await.status, 200);
    assert_eq!(provider.simulator.charges().len(), 4);
}
