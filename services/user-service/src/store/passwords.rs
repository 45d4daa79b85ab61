//! Passwords: whom they let in, and how they are replaced.

use auth::User as SignedIn;
use auth::password::HashedPassword;
use chassis::database::FutureExt;
use contracts::UserId;
use platform::audit::Entry;
use sqlx::PgConnection;
use uuid::Uuid;

use super::external_flows::end_link_flows;
use super::sessions::end_sessions;
use super::{Proof, Store};
use crate::domain::{DomainError, Email, Purpose};
use crate::error::Error;

/// Who signs in with which password.
pub(crate) struct Account {
    pub(crate) user: UserId,
    pub(crate) admin: bool,
    /// None where the user is let in by an account elsewhere, until a reset by mail sets one.
    pub(crate) hash: Option<HashedPassword>,
    /// Counts the passwords that the user has had.
    pub(crate) password_version: i64,
}

/// A password in the place of another one.
pub(crate) struct NewPassword {
    /// Whose, and which session goes on.
    pub(crate) caller: SignedIn,
    pub(crate) hash: HashedPassword,
}

/// A statement that reads the account of an active user, by the rest of its condition.
macro_rules! select_account {
    ($condition:literal, $argument:expr) => {
        sqlx::query_as!(
            Row,
            "select id, admin, password_hash, password_version from users
             where status = 'active' and "
                + $condition,
            $argument
        )
    };
}

struct Row {
    id: Uuid,
    admin: bool,
    password_hash: Option<String>,
    password_version: i64,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        Self {
            user: UserId::from_uuid(row.id),
            admin: row.admin,
            hash: row.password_hash.map(HashedPassword::from_stored),
            password_version: row.password_version,
        }
    }
}

impl Store {
    /// The account of the active user with an address.
    pub(crate) async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, Error> {
        let row = select_account!("lower(email) = lower($1)", email.as_str());
        Ok(row.fetch_optional(&self.database).await?.map(Account::from))
    }

    /// The account of an active user.
    pub(crate) async fn account(&self, user: UserId) -> Result<Account, Error> {
        let row = select_account!("id = $1", user.as_uuid()).fetch_optional(&self.database).await?;
        Ok(row.ok_or(DomainError::NotFound)?.into())
    }

    /// Keeps another hash of a user's password, unless the one before has been replaced meanwhile.
    pub(crate) async fn replace_password_hash(
        &self,
        user: UserId,
        before: &HashedPassword,
        hash: &HashedPassword,
    ) -> Result<(), Error> {
        let before = before.as_str();
        let hash = hash.as_str();
        let id = user.as_uuid();
        sqlx::query!(
            "update users set password_hash = $3 where id = $1 and password_hash = $2",
            id,
            before,
            hash,
        )
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Sets another password by what is shown, and ends all other sessions, which `entry` says in the audit trail.
    pub(crate) async fn change_password(
        &self,
        new: &NewPassword,
        proof: Proof<'_>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let id = UserId::from_uuid(new.caller.id);
        let write = async |tx: &mut PgConnection| {
            let before = self.lock_for(tx, new.caller, id).await?;
            let used = self.prove(tx, proof).await?;
            let decided = before.clone().change_password(self.clock.now())?;
            let user = self.apply(tx, before, decided).await?;
            set_password(tx, id, &new.hash).await?;
            end_sessions(tx, id, Some(new.caller.session)).await?;
            self.end_tokens(tx, &user, Purpose::PasswordReset, &user.email).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(used)
        };
        let used = self.database.transaction(|tx| write(tx).scope_boxed()).await?;
        self.after_commit(used.as_ref(), entry);
        Ok(())
    }
}

/// Sets a user's password. Whoever knew the one before may have enrolled an app of
/// theirs, whose first code is still to come, or begun to link an account: that ends.
pub(super) async fn set_password(
    tx: &mut PgConnection,
    user: UserId,
    hash: &HashedPassword,
) -> Result<(), Error> {
    sqlx::query!(
        "delete from second_factors where user_id = $1 and enabled_at is null",
        user.as_uuid(),
    )
    .execute(&mut *tx)
    .await?;
    end_link_flows(tx, user).await?;
    sqlx::query!(
        "update users set password_hash = $2, password_version = password_version + 1 where id = $1",
        user.as_uuid(),
        hash.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
