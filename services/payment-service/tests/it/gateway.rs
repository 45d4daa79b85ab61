//! The gateway against the provider's simulator, over real HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use payment_service::domain::{Currency, Money};
use payment_service::gateway::{
    ChargeOutcome, ChargeRequest, GatewayError, GatewaySettings, PaymentGateway, RetiredKey,
    StripeGateway, UNAUTHORIZED,
};
use testkit::eventually;
use testkit::simulator::{Fault, Simulator};
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(2);

fn gateway_at(base_url: String, key: &str, timeout: Duration) -> Arc<dyn PaymentGateway> {
    let settings = GatewaySettings { base_url, api_key: key.to_owned().into(), timeout };
    Arc::new(StripeGateway::new(&settings).unwrap())
}

fn gateway(provider: &Simulator) -> Arc<dyn PaymentGateway> {
    gateway_at(provider.url(), "sk_test_gateway", TIMEOUT)
}

fn request(number: u128, payment_method: &str) -> ChargeRequest {
    ChargeRequest {
        payment_id: Uuid::from_u128(number),
        money: euros(1999),
        payment_method: payment_method.to_owned(),
        customer: None,
    }
}

/// Also amounts that no payment can have.
fn euros(cents: i64) -> Money {
    Money::from_stored(cents, Currency::parse("EUR").unwrap())
}

fn succeeded(outcome: &ChargeOutcome) -> bool {
    matches!(outcome, ChargeOutcome::Succeeded { .. })
}

fn unknown(error: &GatewayError) -> bool {
    matches!(error, GatewayError::Unknown { .. })
}

#[tokio::test]
async fn a_charge_takes_the_amount_and_names_our_payment() {
    let provider = Simulator::start().await;
    let outcome = gateway(&provider).charge(request(1, "pm_card_visa")).await.unwrap();
    let charge = provider.charges().pop().unwrap();
    assert_eq!(outcome, ChargeOutcome::Succeeded { provider_id: charge.payment_intent });
    assert_eq!((charge.amount, charge.currency.as_str(), charge.captured), (1999, "eur", true));
    assert_eq!(charge.metadata["payment_id"], Uuid::from_u128(1).to_string());
    let call = provider.requests().pop().unwrap();
    assert_eq!(call.idempotency_key, Some(format!("payment-{}", Uuid::from_u128(1))));
    assert_eq!(call.stripe_version.as_deref(), Some("2025-12-15.clover"));
}

#[tokio::test]
async fn a_decline_is_an_outcome_with_its_reason() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    let cases = [
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            Some("insufficient_funds"),
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        (
            "pm_card_authenticationRequired",
            "authentication_required",
            Some("authentication_required"),
        ),
    ];
    for (number, (payment_method, expected, reason)) in (1..).zip(cases) {
        let outcome = gateway.charge(request(number, payment_method)).await.unwrap();
        let ChargeOutcome::Declined { provider_id, code, decline_code, message } = outcome else {
            panic!("{payment_method} was not declined");
        };
        assert!(provider_id.unwrap().starts_with("pi_"));
        assert_eq!((code.as_str(), decline_code.as_deref()), (expected, reason));
        assert!(!message.is_empty());
    }
    assert_eq!(provider.charges(), []);
}

#[tokio::test]
async fn charging_the_same_payment_again_takes_the_money_once() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    let first = gateway.charge(request(1, "pm_card_visa")).await.unwrap();
    let second = gateway.charge(request(1, "pm_card_visa")).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(provider.charges().len(), 1);
}

#[tokio::test]
async fn a_connection_lost_after_the_charge_is_settled_by_asking_again() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    provider.fail_next(1, Fault::DropConnectionAfterCharging);
    assert!(unknown(&gateway.charge(request(1, "pm_card_visa")).await.unwrap_err()));
    assert_eq!(provider.requests().len(), 1, "the client must not repeat a charge by itself");
    assert!(succeeded(&gateway.charge(request(1, "pm_card_visa")).await.unwrap()));
    assert_eq!(provider.charges().len(), 1);
}

#[tokio::test]
async fn a_charge_that_outlives_our_patience_is_settled_by_asking_again() {
    let provider = Simulator::start().await;
    let gateway = gateway_at(provider.url(), "sk_test_x", Duration::from_millis(300));
    provider.fail_next(1, Fault::Slow(Duration::from_millis(900)));
    assert!(unknown(&gateway.charge(request(1, "pm_card_visa")).await.unwrap_err()));
    let in_flight = gateway.charge(request(1, "pm_card_visa")).await.unwrap_err();
    assert!(unknown(&in_flight), "{in_flight}");
    let settled = async || gateway.charge(request(1, "pm_card_visa")).await.ok();
    assert!(succeeded(&eventually("the charge is through", settled).await));
    assert_eq!(provider.charges().len(), 1);
}

#[tokio::test]
async fn a_provider_that_never_answers_is_left_when_the_time_is_over() {
    let provider = Simulator::start().await;
    let gateway = gateway_at(provider.url(), "sk_test_x", Duration::from_millis(300));
    provider.fail_next(1, Fault::Timeout);
    let started = Instant::now();
    let error = gateway.charge(request(1, "pm_card_visa")).await.unwrap_err();
    assert_eq!(error, GatewayError::Unknown { reason: "timed out" });
    assert!(started.elapsed() < TIMEOUT);
}

#[tokio::test]
async fn an_error_that_the_provider_repeats_for_ever_is_settled_by_looking_the_payment_up() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    provider.fail_next(1, Fault::ErrorAfterCharging);
    assert!(unknown(&gateway.charge(request(1, "pm_card_visa")).await.unwrap_err()));
    assert!(succeeded(&gateway.charge(request(1, "pm_card_visa")).await.unwrap()));
    assert_eq!(provider.charges().len(), 1);

    provider.fail_next(1, Fault::ErrorAfterCharging);
    assert!(unknown(&gateway.charge(request(2, "pm_card_visa_chargeDeclined")).await.unwrap_err()));
    let declined = gateway.charge(request(2, "pm_card_visa_chargeDeclined")).await.unwrap();
    let ChargeOutcome::Declined { decline_code, .. } = declined else {
        panic!("it was not declined");
    };
    assert_eq!(decline_code.as_deref(), Some("generic_decline"));
}

#[tokio::test]
async fn a_provider_in_trouble_or_away_leaves_the_outcome_unknown() {
    let provider = Simulator::start().await;
    provider.fail_next(1, Fault::Status(503));
    assert!(unknown(&gateway(&provider).charge(request(1, "pm_card_visa")).await.unwrap_err()));
    let nobody = format!("http://127.0.0.1:{}", testkit::ports::free_port());
    let away = gateway_at(nobody, "sk_test_x", TIMEOUT);
    let error = away.charge(request(1, "pm_card_visa")).await.unwrap_err();
    assert_eq!(error, GatewayError::Unknown { reason: "not reached" });
}

#[tokio::test]
async fn a_provider_that_is_full_says_when_to_come_back() {
    let provider = Simulator::start().await;
    provider.fail_next(1, Fault::RateLimited);
    let error = gateway(&provider).charge(request(1, "pm_card_visa")).await.unwrap_err();
    assert_eq!(error, GatewayError::Retryable { retry_after: Duration::from_secs(1) });
}

#[tokio::test]
async fn a_wrong_call_is_rejected_for_good() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    let code = async |request| match gateway.charge(request).await.unwrap_err() {
        GatewayError::Rejected { code, .. } => code,
        other => panic!("{other}"),
    };
    assert_eq!(code(request(1, "pm_nobody")).await, "resource_missing");
    assert_eq!(
        code(ChargeRequest { money: euros(1), ..request(2, "pm_card_visa") }).await,
        "amount_too_small"
    );
    let stranger = Some("cus_stranger".to_owned());
    assert_eq!(
        code(ChargeRequest { customer: stranger, ..request(3, "pm_card_visa") }).await,
        "resource_missing"
    );
    assert_eq!(provider.charges(), []);
}

#[tokio::test]
async fn a_key_that_the_provider_knows_from_another_call_says_nothing_of_the_charge() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    gateway.charge(request(1, "pm_card_visa")).await.unwrap();
    let changed = ChargeRequest { money: euros(2999), ..request(1, "pm_card_visa") };
    assert_eq!(gateway.charge(changed).await.unwrap_err(), GatewayError::KeyReused);
    assert_eq!(provider.charges().len(), 1);
}

#[tokio::test]
async fn nothing_is_charged_under_a_key_that_was_retired_unused() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    let request = || request(1, "pm_card_visa");
    for _ in 0..2 {
        assert_eq!(gateway.retire_key(request()).await, Ok(RetiredKey::Unused));
    }
    assert_eq!(gateway.charge(request()).await.unwrap_err(), GatewayError::KeyReused);
    assert_eq!((gateway.find(request()).await, provider.charges().len()), (Ok(None), 0));
}

#[tokio::test]
async fn a_key_is_used_once_a_charge_was_begun_under_it_whatever_came_of_it() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    let methods = ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_jcb", "pm_card_amex"];
    let faults = [Fault::DropConnectionAfterCharging, Fault::ErrorWithoutCharging];
    gateway.charge(request(1, methods[0])).await.unwrap();
    gateway.charge(request(2, methods[1])).await.unwrap();
    for (number, fault) in (3..).zip(faults) {
        provider.fail_next(1, fault);
        let lost = gateway.charge(request(number, methods[number as usize - 1])).await;
        assert!(unknown(&lost.unwrap_err()));
    }
    for (number, method) in (1..).zip(methods) {
        let retired = gateway.retire_key(request(number, method)).await;
        assert_eq!(retired, Ok(RetiredKey::Used), "{number}");
    }
    assert_eq!(provider.charges().len(), 2);
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_rejected_and_not_shown() {
    let provider = Simulator::start().await;
    let gateway = gateway_at(provider.url(), "rk_wrong_canary", TIMEOUT);
    let error = gateway.charge(request(1, "pm_card_visa")).await.unwrap_err();
    assert!(matches!(&error, GatewayError::Rejected { code, .. } if code == UNAUTHORIZED));
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn a_payment_is_found_at_the_provider_without_charging_it() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    let find = async |number| gateway.find(request(number, "pm_card_visa")).await;
    assert_eq!(find(1).await.unwrap(), None);
    let outcome = gateway.charge(request(1, "pm_card_visa")).await.unwrap();
    assert_eq!(find(1).await.unwrap(), Some(outcome));
    assert_eq!(find(2).await.unwrap(), None);
    assert_eq!(provider.charges().len(), 1);

    provider.search_lags(Duration::from_secs(60));
    assert_eq!(find(1).await.unwrap(), None);
}

#[tokio::test]
async fn a_payment_that_is_found_with_another_amount_is_nobodys_receipt() {
    let provider = Simulator::start().await;
    let gateway = gateway(&provider);
    gateway.charge(request(1, "pm_card_visa")).await.unwrap();
    let other = ChargeRequest { money: euros(2999), ..request(1, "pm_card_visa") };
    assert!(unknown(&gateway.find(other).await.unwrap_err()));
}
