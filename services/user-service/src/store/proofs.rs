//! What somebody shows before something is changed: the password, a code, or both.
//!
//! Both are looked at in the transaction of what they are asked for, with the user's row locked before. A password was
//! compared with its hash earlier, since that takes long, and has to be the password still. A code is used up when the
//! transaction is committed, and not otherwise, and of two who show one code the second one finds it used.

use auth::opaque::OpaqueHash;
use contracts::UserId;
use contracts::user::UserRecoveryCodeUsed;
use platform::audit::{Actor, Entry};
use sqlx::PgConnection;

use super::Store;
use super::second_factors::lock;
use crate::domain::{Code, DomainError};
use crate::error::Error;
use crate::events;
use crate::metrics::{self, CodeOutcome};

/// What somebody shows: a code, if the second factor is on, and a password where one is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof<'a> {
    user: UserId,
    password: PasswordProof<'a>,
    code: Option<&'a Code>,
}

/// What is asked of a password besides a code.
#[derive(Debug, Clone, Copy)]
enum PasswordProof<'a> {
    NotAsked,
    Shown(ShownPassword),
    /// It is asked for where the second factor is off. Since it was on, none was looked at; what is said then.
    InsteadOfCode(&'a DomainError),
}

/// A password that was shown, and was right when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownPassword {
    pub(crate) user: UserId,
    /// Counts the passwords that the user has had.
    pub(crate) version: i64,
    /// Where it stands in the request.
    pub(crate) pointer: &'static str,
}

impl<'a> Proof<'a> {
    /// A code alone.
    pub(crate) fn by_code(user: UserId, code: Option<&'a Code>) -> Self {
        Self { user, password: PasswordProof::NotAsked, code }
    }

    /// The password, and a code.
    pub(crate) fn by_both(password: ShownPassword, code: Option<&'a Code>) -> Self {
        Self { user: password.user, password: PasswordProof::Shown(password), code }
    }

    /// The password, or a code where the second factor is on. Without a password there has to be a code, or `missing`
    /// says what there was not.
    pub(crate) fn by_either(
        user: UserId,
        password: Option<ShownPassword>,
        code: Option<&'a Code>,
        missing: &'a DomainError,
    ) -> Self {
        let password = password.map_or(PasswordProof::InsteadOfCode(missing), PasswordProof::Shown);
        Self { user, password, code }
    }
}

impl ShownPassword {
    /// Makes sure that it is the password still; the user's row is locked, or another user's alone.
    pub(super) async fn check(self, tx: &mut PgConnection) -> Result<(), Error> {
        let version = sqlx::query_scalar!(
            "select password_version from users where id = $1",
            self.user.as_uuid(),
        );
        let is_current = version.fetch_one(tx).await? == self.version;
        if is_current { Ok(()) } else { Err(DomainError::wrong_password(self.pointer).into()) }
    }
}

impl Store {
    /// Makes sure that what is shown is right and enough, and uses a code up. The user's row is locked, or another
    /// user's alone. Gives what the audit trail has of a recovery code.
    ///
    /// [`DomainError::Invalid`] for a password that is it no more; [`Error::CodeMissing`] and [`Error::WrongCode`].
    pub(super) async fn prove(
        &self,
        tx: &mut PgConnection,
        Proof { user, password, code }: Proof<'_>,
    ) -> Result<Option<Entry>, Error> {
        if let PasswordProof::Shown(password) = password {
            password.check(tx).await?;
        }
        let row = lock(tx, user).await?.filter(|row| row.enabled_at.is_some());
        let Some(row) = row else {
            return match password {
                PasswordProof::InsteadOfCode(missing) => Err(missing.clone().into()),
                PasswordProof::NotAsked | PasswordProof::Shown(_) => Ok(None),
            };
        };
        match code.ok_or(Error::CodeMissing)? {
            Code::App(typed) => {
                let step = self.step_of(user, &row, typed.expose())?.ok_or_else(wrong_code)?;
                sqlx::query!(
                    "update second_factors set last_step = $2 where user_id = $1",
                    user.as_uuid(),
                    step,
                )
                .execute(tx)
                .await?;
                metrics::code_checked(CodeOutcome::Code);
                Ok(None)
            }
            Code::Recovery(hash) => self.use_recovery_code(tx, user, *hash).await.map(Some),
        }
    }

    /// Uses up a recovery code, and tells the owner how many are left.
    async fn use_recovery_code(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        hash: OpaqueHash,
    ) -> Result<Entry, Error> {
        let left = sqlx::query_scalar!(
            r#"update second_factors set recovery_hashes = array_remove(recovery_hashes, $2)
               where user_id = $1 and $2 = any(recovery_hashes)
               returning cardinality(recovery_hashes) as "left!""#,
            user.as_uuid(),
            hash.as_slice(),
        );
        let left = left.fetch_optional(&mut *tx).await?.ok_or_else(wrong_code)?;
        let used = UserRecoveryCodeUsed { user_id: user, left: left.into() };
        events::enqueue_notice((&self.outbox, &self.clock), tx, &used).await?;
        let entry = Entry::new(Actor::User(user.as_uuid()), "recovery-code-use", "success");
        let entry = entry.target(format_args!("user:{user}"));
        self.audit.record_in(tx, &entry).await?;
        metrics::code_checked(CodeOutcome::RecoveryCode);
        Ok(entry)
    }
}

pub(super) fn wrong_code() -> Error {
    metrics::code_checked(CodeOutcome::Wrong);
    Error::WrongCode
}
