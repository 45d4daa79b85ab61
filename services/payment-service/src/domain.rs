//! What a payment is and what may happen to one. Pure: no database, no network.

mod card;
mod customer;
mod description;
mod method;
mod money;
mod payment;

pub use customer::Customer;
pub use description::Description;
pub use method::PaymentMethod;
pub use money::{Currency, Money};
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
    /// There is no such payment.
    #[error("there is no such payment")]
    NotFound,
    /// The payment is settled.
    #[error("the payment is settled already")]
    Settled,
}
