//! One error, two edges: what a fault means to an HTTP caller, and what it means to the broker.

use chassis::Problem;
use chassis::database::{self, Fault};
use chassis::problem::kind;
use messaging::{EnqueueError, Verdict};

use crate::domain::DomainError;

/// Whatever keeps a request or a message from being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("some fields are refused")]
    Refused(Vec<DomainError>),
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
            Error::Domain(DomainError::UnknownContact) => {
                Self::validation().field("/user_id", "is not a user that can be written to")
            }
            Error::Domain(DomainError::NotFound) => {
                Self::not_found("there is no such notification")
            }
            Error::KeyReused => Self::new(kind::IDEMPOTENCY_KEY_REUSED),
            Error::Enqueue(EnqueueError::Database(error)) | Error::Database(error) => {
                database::problem(&error)
            }
            Error::Domain(DomainError::Settled) | Error::Enqueue(_) => {
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
            // Events of two publishers have no order: the contact may be on its way.
            Error::Domain(DomainError::UnknownContact) => Self::retry(error),
            Error::Database(error) | Error::Enqueue(EnqueueError::Database(error))
                if is_no_text(&error) =>
            {
                Self::dead_letter("a text has a character that cannot be stored")
            }
            Error::Database(error) => error.into(),
            Error::Enqueue(error) => error.into(),
            Error::Domain(_) | Error::Refused(_) | Error::KeyReused => Self::dead_letter(error),
        }
    }
}

/// Whether PostgreSQL cannot keep a text as such, for a NUL in it: no repetition changes that.
fn is_no_text(error: &sqlx::Error) -> bool {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: character_not_in_repertoire
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "22021")
}
