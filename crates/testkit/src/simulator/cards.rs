//! Stripe's test payment methods and what comes of charging them:
//! <https://docs.stripe.com/testing>.

use super::error::ApiError;

/// What the card's issuer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Approved,
    Declined(Decline),
    /// The holder has to confirm it at the bank.
    AuthenticationRequired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the names of the wire")]
pub(super) struct Decline {
    pub(super) code: &'static str,
    /// Only where the issuer gave the reason.
    pub(super) decline_code: Option<&'static str>,
    pub(super) message: &'static str,
}

/// What an off-session charge of a card that wants authentication is refused with.
pub(super) const AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    message: "Your card was declined. This transaction requires authentication.",
};

/// The payment methods that succeed, after `pm_card_`.
const BRANDS: [&str; 12] = [
    "visa",
    "visa_debit",
    "mastercard",
    "mastercard_debit",
    "mastercard_prepaid",
    "amex",
    "discover",
    "diners",
    "jcb",
    "unionpay",
    "us",
    "de",
];

/// The payment methods that are declined, after `pm_card_`, and with which reason.
const DECLINED: [(&str, &str); 8] = [
    ("chargeDeclined", "generic_decline"),
    ("chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ("chargeDeclinedLostCard", "lost_card"),
    ("chargeDeclinedStolenCard", "stolen_card"),
    ("chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"),
    ("chargeDeclinedExpiredCard", "expired_card"),
    ("chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    ("chargeDeclinedProcessingError", "processing_error"),
];

/// The outcome of charging a payment method, or that there is none of that name.
pub(super) fn outcome(payment_method: &str) -> Result<Outcome, ApiError> {
    let name = payment_method.strip_prefix("pm_card_").unwrap_or_default();
    if BRANDS.contains(&name) {
        return Ok(Outcome::Approved);
    }
    // Stripe names some of them with the brand and some without; both are taken for all.
    let name = name.strip_prefix("visa_").unwrap_or(name);
    if name == "authenticationRequired" {
        return Ok(Outcome::AuthenticationRequired);
    }
    let reason = DECLINED.iter().find(|(declined, _)| *declined == name);
    reason
        .and_then(|(_, reason)| decline(reason))
        .map(Outcome::Declined)
        .ok_or_else(|| unknown(payment_method))
}

/// How a card is declined for an issuer's reason, or for one of the provider's own.
pub(super) fn decline(reason: &str) -> Option<Decline> {
    let own = |code, message| Decline { code, decline_code: None, message };
    let issuers = |decline_code, message| Decline {
        code: "card_declined",
        decline_code: Some(decline_code),
        message,
    };
    Some(match reason {
        "generic_decline" => issuers("generic_decline", "Your card was declined."),
        "insufficient_funds" => issuers("insufficient_funds", "Your card has insufficient funds."),
        "lost_card" => issuers("lost_card", "Your card was declined."),
        "stolen_card" => issuers("stolen_card", "Your card was declined."),
        "card_velocity_exceeded" => issuers(
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding \
             its amount limit.",
        ),
        "expired_card" => own("expired_card", "Your card has expired."),
        "incorrect_cvc" => own("incorrect_cvc", "Your card's security code is incorrect."),
        "processing_error" => own(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
        ),
        _ => return None,
    })
}

fn unknown(payment_method: &str) -> ApiError {
    let message = format!("No such PaymentMethod: '{}'", payment_method.escape_default());
    ApiError::invalid(message).code("resource_missing").param("payment_method")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Outcome, outcome};

    #[test]
    fn a_name_is_taken_with_and_without_the_brand() {
        let with = outcome("pm_card_visa_chargeDeclinedExpiredCard").unwrap();
        assert_eq!(with, outcome("pm_card_chargeDeclinedExpiredCard").unwrap());
        assert!(matches!(with, Outcome::Declined(decline) if decline.code == "expired_card"));
    }

    #[test]
    fn a_payment_method_nobody_made_is_missing() {
        for name in ["pm_1NxyzReal", "card_visa", "", "pm_card_", "pm_card_visa_"] {
            assert_eq!(outcome(name).unwrap_err().status, 400, "{name}");
        }
    }
}
