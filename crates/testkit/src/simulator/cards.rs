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

/// The outcome of charging a payment method, or that there is none of that name.
pub(super) fn outcome(payment_method: &str) -> Result<Outcome, ApiError> {
    let name = payment_method.strip_prefix("pm_card_").unwrap_or_default();
    if BRANDS.contains(&name) {
        return Ok(Outcome::Approved);
    }
    // Stripe names some of them with the brand and some without; both are taken for all.
    let declined =
        |code, decline_code, message| Outcome::Declined(Decline { code, decline_code, message });
    let refused = |decline_code, message| declined("card_declined", Some(decline_code), message);
    Ok(match name.strip_prefix("visa_").unwrap_or(name) {
        "chargeDeclined" => refused("generic_decline", "Your card was declined."),
        "chargeDeclinedInsufficientFunds" => {
            refused("insufficient_funds", "Your card has insufficient funds.")
        }
        "chargeDeclinedLostCard" => refused("lost_card", "Your card was declined."),
        "chargeDeclinedStolenCard" => refused("stolen_card", "Your card was declined."),
        "chargeDeclinedVelocityLimitExceeded" => refused(
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding \
             its amount limit.",
        ),
        "chargeDeclinedExpiredCard" => declined("expired_card", None, "Your card has expired."),
        "chargeDeclinedIncorrectCvc" => {
            declined("incorrect_cvc", None, "Your card's security code is incorrect.")
        }
        "chargeDeclinedProcessingError" => declined(
            "processing_error",
            None,
            "An error occurred while processing your card. Try again in a little bit.",
        ),
        "authenticationRequired" => Outcome::AuthenticationRequired,
        _ => return Err(unknown(payment_method)),
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
