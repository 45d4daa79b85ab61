//! One error, two edges: what a fault means to an HTTP caller, and what it means to the broker.

use std::time::Duration;

use auth::password::PasswordError;
use auth::{ScopeError, SealError, TokenError};
use chassis::Problem;
use chassis::database::{self, Fault};
use chassis::problem::kind;
use messaging::process_manager::ProcessError;
use messaging::{EnqueueError, Verdict};
use rate_limit::RateLimited;

use crate::domain::DomainError;
use crate::external_issuer::IssuerError;

/// What a caller is told to wait for whose password there was no place.
const HASHING_RETRY_AFTER: Duration = Duration::from_secs(2);

/// What a caller whose request took too long is told to wait.
const OUT_OF_TIME_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a caller is told to wait while the external issuer cannot be asked.
const ISSUER_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Whatever keeps a request or a message from being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("the scopes are refused")]
    Scopes(#[from] ScopeError),
    #[error("some fields are refused")]
    Refused(Vec<DomainError>),
    #[error("e-mail address or password is wrong")]
    WrongCredentials,
    #[error("a code of the second factor is needed")]
    CodeMissing,
    #[error("the code is wrong, or was used")]
    WrongCode,
    /// At a sign-in, whose password is right.
    #[error("{0}")]
    NotSignedIn(String),
    #[error("the account signs in no more")]
    NotLetIn,
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("the issuer knows no address that is the owner's")]
    ExternalEmailUnproven,
    #[error("a user has the address that the issuer knows")]
    ExternalEmailTaken,
    #[error("the refresh token is not valid")]
    WrongRefreshToken,
    #[error("the session of this token has ended")]
    SessionEnded,
    #[error("a token could not be made")]
    Token(#[from] TokenError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Limited(#[from] RateLimited),
    #[error("the request's time is up")]
    OutOfTime,
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    #[error(transparent)]
    Process(ProcessError),
    #[error("database fault")]
    Database(#[from] sqlx::Error),
}

/// A process fails with the database and the outbox that it is kept in; else it is its own fault.
impl From<ProcessError> for Error {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Database(error) => Self::Database(error),
            ProcessError::Enqueue(error) => Self::Enqueue(error),
            error => Self::Process(error),
        }
    }
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
            Error::Scopes(error) => Self::validation().field("/scope", error.to_string()),
            Error::Domain(DomainError::EmailTaken) => Self::new(kind::EMAIL_TAKEN),
            Error::Domain(DomainError::NotFound) => Self::not_found("there is no such user"),
            Error::Domain(DomainError::LastAdministrator) => Self::new(kind::LAST_ADMINISTRATOR),
            Error::Domain(DomainError::SecondFactorOn) => Self::new(kind::SECOND_FACTOR_ON),
            Error::Domain(DomainError::NoSecondFactor) => {
                Self::not_found("there is no second factor")
            }
            Error::Domain(DomainError::ExternalAccountTaken) => {
                Self::new(kind::EXTERNAL_ACCOUNT_TAKEN)
            }
            Error::Domain(DomainError::NoExternalAccount) => {
                Self::not_found("there is no such external account")
            }
            // One text for all that a flow can be besides good.
            Error::Domain(DomainError::WrongFlow) => {
                let fault = "is not known, was used, is of another browser, or its time is up";
                Self::validation().field("/state", fault)
            }
            Error::Issuer(IssuerError::Refused(_)) => {
                Self::validation().field("/code", "is not what the issuer has given for this")
            }
            Error::Issuer(IssuerError::OtherIssuer) => {
                Self::validation().field("/iss", "is not the issuer that was asked")
            }
            Error::Issuer(IssuerError::Unavailable(reason)) => {
                tracing::warn!(reason, "the external issuer cannot be asked");
                Self::unavailable("the issuer does not answer; try again", ISSUER_RETRY_AFTER)
            }
            Error::ExternalEmailUnproven => Self::new(kind::EXTERNAL_EMAIL_UNPROVEN),
            Error::ExternalEmailTaken => Self::new(kind::EXTERNAL_EMAIL_TAKEN),
            Error::Domain(DomainError::Stale) => Self::precondition_failed(),
            // One text for all that a token can be besides good.
            Error::Domain(DomainError::WrongToken) => {
                Self::validation().field("/token", "is not known, was used, or its time is up")
            }
            // A replica of the newer version knows.
            Error::Domain(DomainError::UnknownStatus) => Self::unavailable(
                "the user is in a status that this replica does not know; try again",
                OUT_OF_TIME_RETRY_AFTER,
            ),
            Error::CodeMissing => {
                Self::validation().field("/code", "is needed: the second factor is on")
            }
            Error::WrongCode => Self::validation().field("/code", "is wrong, or was used"),
            Error::NotSignedIn(detail) => Self::new(kind::SECOND_FACTOR).detail(detail),
            // One text for an unknown address and a wrong password.
            Error::WrongCredentials
            | Error::WrongRefreshToken
            | Error::SessionEnded
            | Error::NotLetIn => Self::unauthorized(error.to_string()),
            Error::Enqueue(EnqueueError::Database(error)) | Error::Database(error) => {
                database::problem(&error)
            }
            Error::Limited(limited) => limited.into(),
            Error::OutOfTime => {
                Self::unavailable("the request's time is up; try again", OUT_OF_TIME_RETRY_AFTER)
            }
            Error::Password(PasswordError::Busy) => {
                Self::unavailable("too many people sign in; try again", HASHING_RETRY_AFTER)
            }
            // A process that was given the key can.
            Error::Seal(SealError::UnknownKey(_)) => {
                tracing::error!(error = %error, "the secret of a second factor does not open");
                Self::unavailable(
                    "the code cannot be looked at; try again",
                    OUT_OF_TIME_RETRY_AFTER,
                )
            }
            Error::Enqueue(_)
            | Error::Process(_)
            | Error::Seal(_)
            | Error::Token(_)
            | Error::Password(PasswordError::Failed) => {
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
            // The user is gone: there is nobody left to note it for.
            Error::Domain(DomainError::NotFound) => Self::Ack,
            Error::Domain(DomainError::UnknownStatus) => Self::retry(error),
            Error::Database(error) => error.into(),
            Error::Enqueue(error) => error.into(),
            Error::Process(error) => error.into(),
            Error::Domain(_)
            | Error::Refused(_)
            | Error::Scopes(_)
            | Error::WrongCredentials
            | Error::WrongRefreshToken
            | Error::SessionEnded
            | Error::CodeMissing
            | Error::WrongCode
            | Error::NotSignedIn(_)
            | Error::NotLetIn
            | Error::Issuer(_)
            | Error::ExternalEmailUnproven
            | Error::ExternalEmailTaken
            | Error::Seal(_)
            | Error::Token(_)
            | Error::Limited(_)
            | Error::OutOfTime
            | Error::Password(_) => Self::dead_letter(error),
        }
    }
}
