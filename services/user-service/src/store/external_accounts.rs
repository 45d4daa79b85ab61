//! Accounts at an external issuer: who is let in by them, and how they come and go.

use auth::User as SignedIn;
use chassis::database::FutureExt;
use chrono::{DateTime, Utc};
use contracts::UserId;
use contracts::user::{UserExternalAccountLinked, UserExternalAccountUnlinked};
use platform::audit::Entry;
use sqlx::PgConnection;
use uuid::Uuid;

use super::external_flows::{Linked, end_flow, end_link_flows};
use super::sessions::{end_sessions, make_room};
use super::{Account, Opening, Proof, Store};
use crate::domain::{DomainError, Event, User};
use crate::error::Error;
use crate::events;

/// An account at an issuer, as its owner is shown it.
pub(crate) struct ShownAccount {
    pub(crate) id: Uuid,
    pub(crate) issuer: String,
    /// The issuer's own name for it.
    pub(crate) subject: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) used_at: Option<DateTime<Utc>>,
}

/// An account at an issuer that becomes a user's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewAccount<'a> {
    /// The flow that ends with it.
    pub(crate) flow: Uuid,
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
}

impl Store {
    /// Opens a session of whoever is linked, with a code where a second factor is on; `entry` says so in the audit
    /// trail.
    ///
    /// [`Error::NotLetIn`] when the account is not there any more, or its user signs in no more.
    pub(crate) async fn open_linked(
        &self,
        flow: Uuid,
        linked: Linked,
        opening: &Opening<'_>,
        entry: &Entry,
    ) -> Result<Account, Error> {
        let proof = Proof::by_code(linked.user, opening.code);
        let open = async |tx: &mut PgConnection| {
            // First of all the user's row, as whoever ends sessions, accounts and flows of the user does.
            let account = lock_linked(tx, linked.account).await?.ok_or(Error::NotLetIn)?;
            end_flow(tx, flow).await?;
            note_use(tx, linked.account, self.clock.now()).await?;
            self.insert_session(tx, &account, opening).await?;
            let code = self.prove(tx, proof).await?;
            make_room(tx, account.user).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>((account, code))
        };
        let (account, code) = self.database.transaction(|tx| open(tx).scope_boxed()).await?;
        self.after_commit(code.as_ref(), entry);
        Ok(account)
    }

    /// Saves a new user without a password, who is let in by an account at the issuer, and opens a session;
    /// `entries` say both in the audit trail.
    ///
    /// [`DomainError::EmailTaken`] when another user has the address.
    pub(crate) async fn register_linked(
        &self,
        (user, events): (&User, &[Event]),
        account: NewAccount<'_>,
        opening: &Opening<'_>,
        entries: [&Entry; 2],
    ) -> Result<Account, Error> {
        let write = async |tx: &mut PgConnection| {
            end_flow(tx, account.flow).await?;
            self.insert(tx, user, events, None).await?;
            let id = self.insert_account(tx, user.id, account).await?;
            note_use(tx, id, self.clock.now()).await?;
            let account = lock_linked(tx, id).await?.ok_or(Error::NotLetIn)?;
            self.insert_session(tx, &account, opening).await?;
            for entry in entries {
                self.audit.record_in(tx, entry).await?;
            }
            Ok::<_, Error>(account)
        };
        let account = self.database.transaction(|tx| write(tx).scope_boxed()).await?;
        self.outbox.wake();
        for entry in entries {
            entry.log();
        }
        Ok(account)
    }

    /// Links an account at the issuer to a signed-in user, which `entry` says in the audit trail; the user is told.
    ///
    /// [`DomainError::ExternalAccountTaken`] when it is a user's, or this user has another one there.
    pub(crate) async fn link_account(
        &self,
        caller: SignedIn,
        account: NewAccount<'_>,
        entry: &Entry,
    ) -> Result<Uuid, Error> {
        let user = UserId::from_uuid(caller.id);
        let link = async |tx: &mut PgConnection| {
            self.lock_for(tx, caller, user).await?.active()?;
            end_flow(tx, account.flow).await?;
            end_link_flows(tx, user).await?;
            let id = self.insert_account(tx, user, account).await?;
            let notice = UserExternalAccountLinked { user_id: user };
            events::enqueue_notice((&self.outbox, &self.clock), tx, &notice).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(id)
        };
        let id = self.database.transaction(|tx| link(tx).scope_boxed()).await?;
        self.after_commit(None, entry);
        Ok(id)
    }

    async fn insert_account(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        NewAccount { issuer, subject, .. }: NewAccount<'_>,
    ) -> Result<Uuid, Error> {
        let inserted = sqlx::query_scalar!(
            "insert into external_accounts (id, user_id, issuer, subject, created_at)
             values ($1, $2, $3, $4, $5) on conflict do nothing returning id",
            self.clock.new_id(),
            user.as_uuid(),
            issuer,
            subject,
            self.clock.now(),
        );
        let inserted = inserted.fetch_optional(tx).await?;
        Ok(inserted.ok_or(DomainError::ExternalAccountTaken)?)
    }

    /// The accounts of a user, the newest first.
    pub(crate) async fn accounts_of(&self, user: Uuid) -> Result<Vec<ShownAccount>, Error> {
        let accounts = sqlx::query_as!(
            ShownAccount,
            "select id, issuer, subject, created_at, used_at from external_accounts
             where user_id = $1 order by id desc",
            user,
        );
        Ok(accounts.fetch_all(&self.database).await?)
    }

    /// Unlinks an account of a signed-in user by what is shown, which `entry` says in the audit trail: all other
    /// sessions end, and the user is told. The password lets them in still.
    ///
    /// [`DomainError::NoExternalAccount`] when it is not theirs.
    pub(crate) async fn unlink_account(
        &self,
        caller: SignedIn,
        proof: Proof<'_>,
        account: Uuid,
        entry: &Entry,
    ) -> Result<(), Error> {
        let user = UserId::from_uuid(caller.id);
        let unlink = async |tx: &mut PgConnection| {
            self.lock_for(tx, caller, user).await?.active()?;
            let used = self.prove(tx, proof).await?;
            let removed = sqlx::query!(
                "delete from external_accounts where id = $1 and user_id = $2",
                account,
                user.as_uuid(),
            );
            if removed.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(DomainError::NoExternalAccount.into());
            }
            end_sessions(tx, user, Some(caller.session)).await?;
            end_link_flows(tx, user).await?;
            self.notice_unlinked(tx, user).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(used)
        };
        let used = self.database.transaction(|tx| unlink(tx).scope_boxed()).await?;
        self.after_commit(used.as_ref(), entry);
        Ok(())
    }

    /// Has a user told that an account was unlinked.
    pub(super) async fn notice_unlinked(
        &self,
        tx: &mut PgConnection,
        user: UserId,
    ) -> Result<(), Error> {
        let notice = UserExternalAccountUnlinked { user_id: user };
        Ok(events::enqueue_notice((&self.outbox, &self.clock), tx, &notice).await?)
    }
}

/// The user who is let in by an account, who signs in still; waits for whoever is changing the user just now.
async fn lock_linked(tx: &mut PgConnection, account: Uuid) -> Result<Option<Account>, Error> {
    let found = sqlx::query!(
        "select users.id, users.admin, users.password_version
         from external_accounts account join users on users.id = account.user_id
         where account.id = $1 and users.status = 'active' for share of users",
        account,
    );
    let found = found.fetch_optional(tx).await?;
    Ok(found.map(|found| Account {
        user: UserId::from_uuid(found.id),
        admin: found.admin,
        hash: None,
        password_version: found.password_version,
    }))
}

async fn note_use(tx: &mut PgConnection, account: Uuid, now: DateTime<Utc>) -> Result<(), Error> {
    sqlx::query!("update external_accounts set used_at = $2 where id = $1", account, now)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes all accounts of a user; says whether there was one.
pub(super) async fn remove_accounts(tx: &mut PgConnection, user: UserId) -> Result<bool, Error> {
    let removed = sqlx::query!("delete from external_accounts where user_id = $1", user.as_uuid());
    Ok(removed.execute(tx).await?.rows_affected() > 0)
}
