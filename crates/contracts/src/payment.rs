//! What payment-service publishes, on `payment_exchange`.
//!
//! A reader must know whom to tell and of how much, so besides `payment_id`, `user_id`, `amount` and
//! `currency` are required: a message without them is dead-lettered, not guessed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bounds::{self, Checked, or_default};
use crate::{Event, UserId, id};

id! {
    /// A payment of payment-service.
    PaymentId
}

/// `payment.completed`: the money was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PaymentCompleted {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Who paid.
    pub user_id: UserId,
    /// How much, in minor units of the currency: 1999 is EUR 19.99 and JPY 1999.
    pub amount: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

/// `payment.failed`: the money could not be taken; the payment may be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PaymentFailed {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Who tried to pay.
    pub user_id: UserId,
    /// How much, in minor units of the currency.
    pub amount: i64,
    /// ISO 4217, upper case.
    pub currency: String,
    /// Why, in words for the payer; empty when it was not said.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// The provider's code, such as `insufficient_funds`, when it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}

impl Event for PaymentCompleted {
    const TYPE: &'static str = "payment.completed";
    const EXCHANGE: &'static str = "payment_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.payment_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::amount("amount", self.amount)?;
        bounds::currency("currency", &self.currency)
    }
}

impl Event for PaymentFailed {
    const TYPE: &'static str = "payment.failed";
    const EXCHANGE: &'static str = "payment_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.payment_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::amount("amount", self.amount)?;
        bounds::currency("currency", &self.currency)?;
        bounds::text("reason", &self.reason)?;
        bounds::text("decline_code", self.decline_code.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{USER, assert_golden, id};

    const PAYMENT: PaymentId = PaymentId::from_uuid(id(2));

    #[test]
    fn payment_completed() {
        let amount = 1999;
        let currency = "EUR".to_owned();
        let event = PaymentCompleted { payment_id: PAYMENT, user_id: USER, amount, currency };
        assert_golden("payment-service", event);
    }

    #[test]
    fn payment_failed() {
        assert_golden(
            "payment-service",
            PaymentFailed {
                payment_id: PAYMENT,
                user_id: USER,
                amount: 1999,
                currency: "EUR".to_owned(),
                reason: "the card has insufficient funds".to_owned(),
                decline_code: Some("insufficient_funds".to_owned()),
            },
        );
    }
}
