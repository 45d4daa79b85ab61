//! One error, two edges: what a fault means to an HTTP caller, and what it means to the broker.

use chassis::Problem;
use chassis::database::{self, Fault};
use chassis::problem::kind;
use messaging::{EnqueueError, Verdict};
use service_client::CallError;

use crate::domain::DomainError;

/// Whatever keeps a request or a message from being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("the user is unknown or not active")]
    UserNotActive,
    #[error("user-service gave no answer")]
    UserUnknown(#[source] CallError),
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
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

/// To an HTTP caller.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Domain(DomainError::Invalid { pointer, reason }) => {
                Self::validation().field(pointer, reason)
            }
            Error::Domain(DomainError::NotFound) => Self::not_found("there is no such sample"),
            Error::UserNotActive => Self::new(kind::USER_NOT_ACTIVE),
            Error::UserUnknown(error) => {
                error.problem("the user cannot be checked now; nothing was made")
            }
            Error::KeyReused => Self::new(kind::IDEMPOTENCY_KEY_REUSED),
            Error::Enqueue(EnqueueError::Database(error)) | Error::Database(error) => {
                database::problem(&error)
            }
            Error::Enqueue(_) => {
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
            Error::UserUnknown(_) => Self::retry(error),
            Error::Domain(_) | Error::UserNotActive | Error::KeyReused => Self::dead_letter(error),
        }
    }
}
