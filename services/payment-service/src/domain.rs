//! What a payment is and what may happen to one. Pure: no database, no network.

mod card;
mod currency;
mod customer;
mod description;
mod method;
mod money;
mod payment;

pub use currency::Currency;
pub use customer::Customer;
pub use description::Description;
pub use method::PaymentMethod;
pub use money::Money;
pub use payment::{Event, Outcome, Payment, Status};

/// Why something cannot happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// A field of the request is refused.
    #[error("{pointer} {reason}")]
    Invalid {
        /// JSON pointer to the field.
        pointer: &'static str,
        /// What is wrong; never the value.
        reason: &'static str,
    },
    /// The amount is none that can be charged in its currency. All of these are minor units.
    #[error("the amount is not from {least} to {most} and divisible by {step}")]
    Amount {
        /// ISO 4217.
        currency: &'static str,
        /// The least that is taken.
        least: i64,
        /// The most that is taken.
        most: i64,
        /// What it has to be divisible by.
        step: i64,
    },
    /// There is no such payment.
    #[error("there is no such payment")]
    NotFound,
    /// Another worker has asked the provider since.
    #[error("the payment was taken up by another worker")]
    AskedAgain,
    /// The payment is settled.
    #[error("the payment is settled already")]
    Settled,
}
