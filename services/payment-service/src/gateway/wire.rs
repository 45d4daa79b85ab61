//! What the provider's answers mean: pure, so that every case can be tried without a wire.
//!
//! Statuses and their meaning: <https://docs.stripe.com/error-low-level>. The rule behind all of
//! it: money is only said to be taken or not taken when the provider said so in a form that was
//! understood.

use std::time::Duration;

use serde::Deserialize;

use super::{ChargeOutcome, GatewayError, RetiredKey, UNAUTHORIZED, amount};
use crate::domain::Money;

/// The delay when the provider says to slow down and not for how long.
pub(super) const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// The longest delay taken from the provider.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Of the provider's texts, which end up in our rows and logs.
const TEXT_LENGTH_MAX: usize = 500;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// It is the stored answer of an earlier call with the same key.
    pub(super) is_replayed: bool,
    pub(super) retry_after: Duration,
    pub(super) body: Vec<u8>,
}

/// A payment intent, as far as we look at it.
#[derive(Debug, Deserialize)]
struct Intent {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    last_payment_error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    error: Fault,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    payment_intent: Option<IntentId>,
}

#[derive(Debug, Deserialize)]
struct IntentId {
    id: String,
}

#[derive(Debug, Deserialize)]
struct SearchResult {
    data: Vec<IntentId>,
}

impl Reply {
    /// Whether asking again under the same key could not change what is known.
    pub(super) fn settles(&self) -> bool {
        match self.status {
            200..300 => self.parse::<Intent>().is_ok_and(|intent| intent.state().is_ok()),
            500.. => false,
            _ => true,
        }
    }

    /// What an answer to a charge, or of a payment that was asked for, says about the money.
    pub(super) fn into_outcome(self, money: Money) -> Result<ChargeOutcome, GatewayError> {
        match self.status {
            200..300 => self.parse::<Intent>()?.outcome(money),
            402 => self.parse::<Failure>()?.error.into_decline(),
            _ => Err(self.into_error()),
        }
    }

    /// The names of what a search found.
    pub(super) fn into_found_ids(self) -> Result<Vec<String>, GatewayError> {
        match self.status {
            200..300 => {
                let found = self.parse::<SearchResult>()?.data;
                Ok(found.into_iter().map(|intent| intent.id).collect())
            }
            _ => Err(self.into_error()),
        }
    }

    /// What an answer to the call that retires a key says of the key. An answer that is given again
    /// is one to an earlier call of this kind, whatever it was: the key was not used otherwise.
    pub(super) fn into_retired_key(self) -> Result<RetiredKey, GatewayError> {
        if self.is_replayed || matches!(self.status, 200..300) {
            return Ok(RetiredKey::Unused);
        }
        match self.into_error() {
            GatewayError::KeyReused => Ok(RetiredKey::Used),
            error => Err(error),
        }
    }

    fn into_error(self) -> GatewayError {
        match self.status {
            409 => GatewayError::Unknown { reason: "another call with the same key is running" },
            429 => GatewayError::Retryable { retry_after: self.retry_after },
            // 424: what the provider itself depends on failed, before or after the charge.
            408 | 424 | 500.. => GatewayError::Unknown { reason: "an error of the provider's" },
            // Its text would show a part of the key.
            401 | 403 => GatewayError::Rejected {
                code: UNAUTHORIZED.to_owned(),
                message: "the key is not taken; set gateway.api_key".to_owned(),
            },
            status => match self.parse::<Failure>() {
                Ok(Failure { error: Fault { kind: Some(kind), code, message, .. } }) => {
                    refused(status, &kind, code, message)
                }
                // Not the provider's words, but those of something that stands before it, or that
                // is not the provider at all.
                _ => GatewayError::Unknown { reason: "a refusal that is not the provider's" },
            },
        }
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, GatewayError> {
        // The parser's own words may repeat a part of the body.
        serde_json::from_slice(&self.body)
            .map_err(|_| GatewayError::Unknown { reason: "an answer that cannot be read" })
    }
}

/// What a refusal in the provider's own form means (<https://docs.stripe.com/api/errors>).
fn refused(status: u16, kind: &str, code: Option<String>, message: Option<String>) -> GatewayError {
    match kind {
        "idempotency_error" => GatewayError::KeyReused,
        "invalid_request_error" => GatewayError::Rejected {
            code: short(code.unwrap_or_else(|| format!("http_{status}"))),
            message: short(message.unwrap_or_default()),
        },
        _ => GatewayError::Unknown { reason: "a refusal of a kind that is not known" },
    }
}

/// Of several payments at the provider under one id, one that took the money decides; then one of
/// which it is not known.
pub(super) fn decide(
    found: impl IntoIterator<Item = Result<ChargeOutcome, GatewayError>>,
) -> Result<Option<ChargeOutcome>, GatewayError> {
    let mut declined = None;
    let mut unknown = None;
    for outcome in found {
        match outcome {
            Ok(succeeded @ ChargeOutcome::Succeeded { .. }) => return Ok(Some(succeeded)),
            Ok(other) => declined = Some(other),
            Err(error) => unknown = Some(error),
        }
    }
    unknown.map_or(Ok(declined), Err)
}

impl Intent {
    /// How the charge of this much money ended. A charge of another amount is not the one that was
    /// asked for, and nobody may be told of it as if it were.
    fn outcome(self, money: Money) -> Result<ChargeOutcome, GatewayError> {
        let named = amount::from_wire(self.amount, &self.currency);
        match self.state() {
            Ok(ChargeOutcome::Succeeded { .. }) if named != Some(money) => {
                Err(GatewayError::Unknown { reason: "a charge of another amount" })
            }
            state => state,
        }
    }

    /// <https://docs.stripe.com/payments/paymentintents/lifecycle>
    fn state(self) -> Result<ChargeOutcome, GatewayError> {
        let declined = |id: String, fault: Option<Fault>, code: &str| {
            let fault = fault.unwrap_or_else(|| Fault::named(code));
            Ok(fault.decline(Some(id)))
        };
        match self.status.as_str() {
            "succeeded" => Ok(ChargeOutcome::Succeeded { provider_id: self.id }),
            "requires_payment_method" => {
                declined(self.id, self.last_payment_error, "card_declined")
            }
            "requires_action" => declined(self.id, None, "authentication_required"),
            "canceled" => declined(self.id, self.last_payment_error, "canceled"),
            "processing" => Err(GatewayError::Unknown { reason: "still processing" }),
            _ => Err(GatewayError::Unknown { reason: "a state that was not asked for" }),
        }
    }
}

impl Fault {
    fn named(code: &str) -> Self {
        Self {
            kind: None,
            code: Some(code.to_owned()),
            decline_code: None,
            message: None,
            payment_intent: None,
        }
    }

    /// Status 402 is the card's fault in all but a few cases, which say so by their type.
    fn into_decline(self) -> Result<ChargeOutcome, GatewayError> {
        if self.kind.as_deref() == Some("card_error") {
            return Ok(self.decline(None));
        }
        Err(match self.kind {
            Some(kind) => refused(402, &kind, self.code, self.message),
            None => GatewayError::Unknown { reason: "a refusal that is not the provider's" },
        })
    }

    fn decline(self, id: Option<String>) -> ChargeOutcome {
        ChargeOutcome::Declined {
            provider_id: id.or(self.payment_intent.map(|intent| intent.id)),
            code: short(self.code.unwrap_or_else(|| "card_declined".to_owned())),
            decline_code: self.decline_code.map(short),
            message: short(self.message.unwrap_or_else(|| "The payment was declined.".to_owned())),
        }
    }
}

/// Cuts a text between two letters.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_LENGTH_MAX));
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::Currency;
    use serde_json::{Value, json};

    fn reply(status: u16, body: &Value) -> Reply {
        Reply {
            status,
            is_replayed: false,
            retry_after: Duration::from_secs(2),
            body: body.to_string().into_bytes(),
        }
    }

    fn intent(status: &str) -> Value {
        json!({
            "id": "pi_1", "status": status, "amount": 1999, "currency": "eur",
            "last_payment_error": null,
        })
    }

    fn euros() -> Money {
        Money::new(1999, Currency::parse("EUR").unwrap()).unwrap()
    }

    fn unknown(result: &Result<ChargeOutcome, GatewayError>) -> bool {
        matches!(result, Err(GatewayError::Unknown { .. }))
    }

    #[test]
    fn only_succeeded_is_success() {
        let paid = reply(200, &intent("succeeded")).into_outcome(euros()).unwrap();
        assert_eq!(paid, ChargeOutcome::Succeeded { provider_id: "pi_1".to_owned() });
        for status in ["processing", "requires_capture", "requires_confirmation", "something_new"] {
            let reply = reply(200, &intent(status));
            assert!(!reply.settles(), "{status}");
            assert!(unknown(&reply.into_outcome(euros())), "{status}");
        }
        for status in ["requires_payment_method", "requires_action", "canceled"] {
            let outcome = reply(200, &intent(status)).into_outcome(euros()).unwrap();
            assert!(matches!(outcome, ChargeOutcome::Declined { .. }), "{status}");
        }
    }

    #[test]
    fn a_decline_keeps_its_codes_and_names_the_payment() {
        let body = json!({ "error": {
            "type": "card_error", "code": "card_declined", "decline_code": "lost_card",
            "message": "Your card was declined.",
            "payment_intent": intent("requires_payment_method"),
        }});
        let declined = ChargeOutcome::Declined {
            provider_id: Some("pi_1".to_owned()),
            code: "card_declined".to_owned(),
            decline_code: Some("lost_card".to_owned()),
            message: "Your card was declined.".to_owned(),
        };
        assert_eq!(reply(402, &body).into_outcome(euros()).unwrap(), declined);
    }

    #[test]
    fn what_cannot_be_understood_is_unknown_and_never_failed() {
        for body in ["", "<html>", "{}", r#"{"id": 7}"#, "\u{0}"] {
            for status in [200, 402, 500, 502, 503, 504, 408, 409, 424] {
                let mut reply = reply(status, &json!(null));
                reply.body = body.as_bytes().to_vec();
                assert!(unknown(&reply.into_outcome(euros())), "{status} {body:?}");
            }
        }
    }

    #[test]
    fn a_fault_of_the_call_is_rejected_with_its_code() {
        let body = json!({ "error": {
            "type": "invalid_request_error", "code": "resource_missing", "message": "No such…",
        }});
        let error = reply(400, &body).into_outcome(euros()).unwrap_err();
        assert!(matches!(error, GatewayError::Rejected { code, .. } if code == "resource_missing"));
        let body = json!({ "error": { "type": "invalid_request_error" } });
        let error = reply(404, &body).into_outcome(euros()).unwrap_err();
        assert!(matches!(error, GatewayError::Rejected { code, .. } if code == "http_404"));
    }

    #[test]
    fn a_refusal_in_another_form_than_the_providers_is_unknown() {
        let other = json!({ "error": { "type": "something_new" } });
        for body in [json!(null), json!({ "error": "not found" }), json!({ "error": {} }), other] {
            for status in [400, 402, 404, 405, 413, 418] {
                assert!(unknown(&reply(status, &body).into_outcome(euros())), "{status} {body}");
            }
        }
    }

    #[test]
    fn a_charge_of_another_amount_or_currency_is_unknown() {
        for (amount, currency) in [(199_900, "eur"), (1999, "usd"), (1999, "isk"), (1999, "x")] {
            let mut other = intent("succeeded");
            other["amount"] = amount.into();
            other["currency"] = currency.into();
            assert!(unknown(&reply(200, &other).into_outcome(euros())), "{amount} {currency}");
        }
    }

    #[test]
    fn a_key_is_unused_only_when_the_provider_took_it_for_the_call_that_retires_it() {
        let key = |reply: Reply| reply.into_retired_key();
        let open = intent("requires_payment_method");
        assert_eq!(key(reply(200, &open)), Ok(RetiredKey::Unused));
        let again = Reply { is_replayed: true, ..reply(500, &json!(null)) };
        assert_eq!(key(again), Ok(RetiredKey::Unused));
        let used = json!({ "error": { "type": "idempotency_error", "message": "Keys for…" } });
        assert_eq!(key(reply(400, &used)), Ok(RetiredKey::Used));
        for status in [400, 401, 404, 409, 429, 500] {
            assert!(key(reply(status, &json!(null))).is_err(), "{status}");
        }
    }

    #[test]
    fn a_refused_key_is_not_repeated() {
        let body = json!({ "error": { "message": "Invalid API Key provided: sk_test_****1234" } });
        let error = reply(401, &body).into_outcome(euros()).unwrap_err();
        assert!(matches!(&error, GatewayError::Rejected { code, .. } if code == UNAUTHORIZED));
        assert!(!format!("{error} {error:?}").contains("1234"));
    }

    #[test]
    fn too_many_calls_are_delayed_as_long_as_the_provider_says() {
        let error = reply(429, &json!({ "error": {} })).into_outcome(euros()).unwrap_err();
        assert_eq!(error, GatewayError::Retryable { retry_after: Duration::from_secs(2) });
    }

    #[test]
    fn of_several_payments_one_that_took_money_decides_then_one_that_may_have() {
        let found = |states: &[&str]| {
            decide(states.iter().map(|status| reply(200, &intent(status)).into_outcome(euros())))
        };
        assert_eq!(found(&[]).unwrap(), None);
        let both = found(&["processing", "requires_payment_method", "succeeded"]).unwrap();
        assert!(matches!(both, Some(ChargeOutcome::Succeeded { .. })));
        assert!(found(&["requires_payment_method", "processing"]).is_err());
        let declined = found(&["requires_payment_method"]).unwrap();
        assert!(matches!(declined, Some(ChargeOutcome::Declined { .. })));
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let text = short("é".repeat(TEXT_LENGTH_MAX));
        assert!(text.len() <= TEXT_LENGTH_MAX && text.ends_with('é'));
    }
}
