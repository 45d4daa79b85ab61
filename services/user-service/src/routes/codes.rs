//! Codes of second factors as requests show them: counted, so that nobody finds one by trying.

use chassis::extract::RequestContext;
use platform::audit::{Actor, AuditTrail, Entry};
use rate_limit::{Attempt, Backoff};
use tusk_config::Secret;
use uuid::Uuid;

use crate::domain::Code;
use crate::error::Error;
use crate::metrics::{self, CodeOutcome};

/// Counts the codes that are shown for each account.
#[derive(Clone)]
pub(crate) struct Codes {
    pub(crate) backoff: Backoff,
    pub(crate) audit: AuditTrail,
}

/// A code that may be looked at, if one was shown.
pub(super) struct CodeAttempt<'c> {
    codes: &'c Codes,
    user: Uuid,
    code: Option<(Code, Attempt<'c>)>,
}

impl Codes {
    /// Begins a try with what was typed, if something was; [`Error::Limited`] after too many wrong ones.
    pub(super) async fn attempt(
        &self,
        user: Uuid,
        typed: Option<&Secret<String>>,
        context: &RequestContext,
    ) -> Result<CodeAttempt<'_>, Error> {
        let Some(typed) = typed else { return Ok(CodeAttempt { codes: self, user, code: None }) };
        match self.backoff.attempt(&user.to_string(), context.client_address).await {
            Ok(attempt) => {
                let code = Some((Code::typed(typed), attempt));
                Ok(CodeAttempt { codes: self, user, code })
            }
            Err(refused) => {
                metrics::code_checked(CodeOutcome::Refused);
                self.count(user, "too-many-tries").await;
                Err(refused.into())
            }
        }
    }

    async fn count(&self, user: Uuid, outcome: &'static str) {
        let entry = Entry::new(Actor::Anybody, "second-factor", outcome);
        let entry = entry.target(format_args!("user:{user}"));
        self.audit.count(entry).await;
    }
}

impl CodeAttempt<'_> {
    /// What was shown.
    pub(super) fn code(&self) -> Option<&Code> {
        self.code.as_ref().map(|(code, _)| code)
    }

    /// Says what became of it: a wrong code stays counted, a right one has those before it forgotten.
    pub(super) async fn settle<T>(self, done: Result<T, Error>) -> Result<T, Error> {
        let Some((_, attempt)) = self.code else { return done };
        match &done {
            Ok(_) => attempt.succeeded().await,
            Err(Error::WrongCode) => self.codes.count(self.user, "wrong-code").await,
            Err(_) => attempt.undo().await,
        }
        done
    }
}
