//! A payment: processing until the provider has said what became of it.
//!
//! ```text
//!                    ┌──▶ succeeded
//!   processing ──────┤
//!                    └──▶ requires_payment_method   (declined: nothing was charged)
//! ```

use chrono::{DateTime, Utc};
use contracts::{PaymentId, UserId};

use super::{Description, DomainError, Money, PaymentMethod};

/// A payment as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id; the provider's idempotency key is made of it.
    pub id: PaymentId,
    /// Who pays.
    pub user_id: UserId,
    /// How much.
    pub money: Money,
    /// With what.
    pub method: PaymentMethod,
    /// What for, in the caller's words.
    pub description: Option<Description>,
    /// Where it stands.
    pub status: Status,
    /// The provider's name for it, once known.
    pub provider_id: Option<String>,
    /// Times the provider was asked, without calls of which it is known that they did nothing.
    pub attempts: u32,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Where a payment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The provider is being asked.
    Processing,
    /// The money was taken.
    Succeeded,
    /// The payment method was declined; nothing was taken.
    RequiresPaymentMethod {
        /// Why, as a word for programs.
        code: String,
        /// Why, for the payer.
        message: String,
    },
    /// What a newer version of the service says of it, in its word. This one shows the word, and decides
    /// nothing.
    Other(String),
}

/// What the provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money was taken.
    Succeeded {
        /// The provider's name for the payment.
        provider_id: String,
    },
    /// It was not, and will not be for this payment.
    Declined {
        /// The provider's name for the payment, when it made one.
        provider_id: Option<String>,
        /// Why, as a word for programs.
        code: String,
        /// Why, for the payer.
        message: String,
    },
}

impl Outcome {
    /// The provider refused the call, and nothing was charged. Why is for the log: it speaks of
    /// settings and requests, not to the payer.
    pub fn refused(code: String) -> Self {
        let message = "The payment provider refused the payment.".to_owned();
        Self::Declined { provider_id: None, code, message }
    }

    /// The payment was not charged in time, and cannot be any more. A decline, and no state of its
    /// own: the version before this one can read it.
    pub fn canceled() -> Self {
        let message = "The payment could not be processed in time.".to_owned();
        Self::Declined { provider_id: None, code: "not_processed_in_time".to_owned(), message }
    }
}

/// What happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The money was taken.
    Completed,
    /// It was not.
    Failed {
        /// Why, as a word for programs.
        code: String,
        /// Why, for the payer.
        message: String,
    },
}

impl Payment {
    /// A new payment, to be charged.
    pub fn new(
        id: PaymentId,
        user_id: UserId,
        money: Money,
        method: PaymentMethod,
        description: Option<Description>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            user_id,
            money,
            method,
            description,
            status: Status::Processing,
            provider_id: None,
            attempts: 0,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether there is nothing more to do: the provider has said what became of it, or it is a newer
    /// version's.
    pub fn is_settled(&self) -> bool {
        self.status != Status::Processing
    }

    /// Takes what the provider said. Happens once: a second word, the same or another, is refused.
    ///
    /// # Errors
    /// [`DomainError::Settled`] when it is settled already.
    pub fn settle(
        mut self,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        if self.is_settled() {
            return Err(DomainError::Settled);
        }
        let event = match outcome {
            Outcome::Succeeded { provider_id } => {
                self.provider_id = Some(provider_id);
                self.status = Status::Succeeded;
                Event::Completed
            }
            Outcome::Declined { provider_id, code, message } => {
                self.provider_id = provider_id;
                self.status =
                    Status::RequiresPaymentMethod { code: code.clone(), message: message.clone() };
                Event::Failed { code, message }
            }
        };
        self.version += 1;
        self.updated_at = now;
        Ok((self, vec![event]))
    }
}

impl Status {
    /// The word for it, the provider's own.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::RequiresPaymentMethod { .. } => "requires_payment_method",
            Self::Other(word) => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Currency;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn payment() -> Payment {
        let money = Money::new(1999, Currency::parse("EUR").unwrap()).unwrap();
        let method = PaymentMethod::parse("pm_card_visa").unwrap();
        let id = PaymentId::from_uuid(Uuid::nil());
        let user = UserId::from_uuid(Uuid::nil());
        Payment::new(id, user, money, method, None, at(0))
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            "pi_[a-z]{1,8}".prop_map(|provider_id| Outcome::Succeeded { provider_id }),
            ("[a-z_]{1,12}", "[ -~]{0,20}").prop_map(|(code, message)| Outcome::Declined {
                provider_id: None,
                code,
                message,
            }),
        ]
    }

    proptest! {
        #[test]
        fn of_any_walk_the_first_outcome_counts_and_is_told_once(
            walk in prop::collection::vec(outcomes(), 1..8),
        ) {
            let mut payment = payment();
            let mut told = Vec::new();
            for (step, outcome) in (1_i64..).zip(&walk) {
                match payment.clone().settle(outcome.clone(), at(step)) {
                    Ok((next, events)) => {
                        prop_assert_eq!(step, 1, "settled twice");
                        told.extend(events);
                        payment = next;
                    }
                    Err(error) => prop_assert_eq!(error, DomainError::Settled),
                }
            }
            let succeeded = matches!(walk[0], Outcome::Succeeded { .. });
            prop_assert_eq!(payment.status == Status::Succeeded, succeeded);
            prop_assert_eq!(told == [Event::Completed], succeeded);
            prop_assert_eq!((told.len(), payment.version), (1, 2));
        }
    }
}
