//! What may happen to samples. Pure: no database, no network, no clock of its own.

mod sample;
mod title;

pub use sample::{Event, Sample, Status};
pub use title::Title;

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
    /// There is no such sample.
    #[error("there is no such sample")]
    NotFound,
}
