//! One error, two edges: what a fault means to an HTTP caller, and what it means to the broker.

use std::time::Duration;

use chassis::Problem;
use chassis::database::{self, Fault};
use chassis::problem::kind;
use messaging::{EnqueueError, Verdict};
use service_client::CallError;

use crate::domain::DomainError;

/// What a caller is told to wait when nobody says how long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whatever keeps a request or a message from being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("some fields are refused")]
    Refused(Vec<DomainError>),
    #[error("the payer is unknown or not active")]
    PayerNotActive,
    #[error("user-service gave no answer")]
    PayerUnknown(#[source] CallError),
    #[error("the idempotency key is in use by a request in flight")]
    KeyInFlight,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    #[error("an answer could not be written as JSON")]
    Encode(#[from] serde_json::Error),
    #[error("database fault")]
    Database(#[from] sqlx::Error),
}

/// To a transaction, which does its work again where that helps.
impl Fault for Error {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Enqueue(EnqueueError::Database(error)) | Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

/// Of all that is wrong with a request, nothing is held back.
impl From<Vec<DomainError>> for Error {
    fn from(faults: Vec<DomainError>) -> Self {
        Self::Refused(faults)
    }
}

/// To an HTTP caller.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Domain(DomainError::Invalid { pointer, reason }) => {
                Self::validation().field(pointer, reason)
            }
            Error::Refused(faults) => {
                let faults = faults.into_iter().map(|fault| Self::from(Error::Domain(fault)));
                faults.reduce(Self::and).unwrap_or_else(Self::validation)
            }
            Error::Domain(DomainError::Amount { currency, least, most, step }) => {
                let divisible = match step {
                    1 => String::new(),
                    step => format!(", divisible by {step}"),
                };
                let reason = format!("must be {least} to {most} minor units of {currency}");
                Self::validation().field("/amount", reason + &divisible)
            }
            Error::Domain(DomainError::NotFound) => Self::not_found("there is no such payment"),
            Error::PayerNotActive => Self::new(kind::PAYER_NOT_ACTIVE),
            Error::PayerUnknown(error) => {
                error.problem("the payer cannot be checked now; nothing was charged")
            }
            Error::KeyInFlight => Self::new(kind::IDEMPOTENCY_IN_FLIGHT).retry_after(RETRY_AFTER),
            Error::KeyReused => Self::new(kind::IDEMPOTENCY_KEY_REUSED),
            Error::Enqueue(EnqueueError::Database(error)) | Error::Database(error) => {
                database::problem(&error)
            }
            Error::Domain(DomainError::Settled | DomainError::AskedAgain)
            | Error::Enqueue(_)
            | Error::Encode(_) => {
                tracing::error!(error = %error, "request failed");
                Self::internal()
            }
        }
    }
}

impl axum::response::IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}

/// To the broker.
impl From<Error> for Verdict {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => error.into(),
            Error::Enqueue(error) => error.into(),
            Error::PayerUnknown(_) | Error::KeyInFlight => Self::retry(error),
            Error::Domain(_)
            | Error::Refused(_)
            | Error::PayerNotActive
            | Error::KeyReused
            | Error::Encode(_) => Self::dead_letter(error),
        }
    }
}
