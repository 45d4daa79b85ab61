//! Second factors: what codes are made of, sealed; which were used; recovery codes, as hashes. Where they are shown:
//! `proofs`.

use auth::User as SignedIn;
use auth::opaque::OpaqueHash;
use auth::totp::{TotpSecret, step_at};
use auth::{SealError, Sealed};
use chassis::database::FutureExt;
use chrono::{DateTime, Utc};
use contracts::UserId;
use platform::audit::Entry;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Store;
use super::external_flows::end_link_flows;
use super::mail_tokens::end_tokens_of_other_addresses;
use super::proofs::{Proof, ShownPassword, wrong_code};
use super::sessions::end_sessions;
use crate::domain::{Code, DomainError, User};
use crate::error::Error;

/// A user's own second factor, as its owner is shown it.
#[derive(Debug, Default)]
pub(crate) struct SecondFactor {
    /// Since when codes are asked for; none while they are not.
    pub(crate) enabled_at: Option<DateTime<Utc>>,
    pub(crate) recovery_codes_left: i32,
}

/// What became of one batch that was sealed anew.
#[derive(Debug, Default)]
pub(crate) struct Resealed {
    pub(crate) count: u64,
    /// The last user that was looked at; none when there is none left.
    pub(crate) last: Option<Uuid>,
}

/// What is known of a second factor while its row is locked.
pub(super) struct Row {
    key_id: String,
    sealed_secret: Vec<u8>,
    last_step: i64,
    pub(super) enabled_at: Option<DateTime<Utc>>,
}

impl Store {
    /// A user's second factor.
    pub(crate) async fn second_factor(&self, user: Uuid) -> Result<SecondFactor, Error> {
        let found = sqlx::query_as!(
            SecondFactor,
            r#"select enabled_at, cardinality(recovery_hashes) as "recovery_codes_left!"
               from second_factors where user_id = $1 and enabled_at is not null"#,
            user,
        );
        Ok(found.fetch_optional(&self.database).await?.unwrap_or_default())
    }

    /// Keeps what a user's app is to make codes of, in the place of what is pending, by the password.
    ///
    /// [`DomainError::SecondFactorOn`] when codes are asked for already.
    pub(crate) async fn enrol_second_factor(
        &self,
        caller: SignedIn,
        password: ShownPassword,
        secret: &TotpSecret,
        entry: &Entry,
    ) -> Result<(), Error> {
        let user = UserId::from_uuid(caller.id);
        let sealed = &self.sealing.seal(secret.expose(), user.as_uuid())?;
        let enrol = async |tx: &mut PgConnection| {
            self.lock_for(tx, caller, user).await?.active()?;
            password.check(tx).await?;
            let kept = sqlx::query!(
                "insert into second_factors (user_id, key_id, sealed_secret, last_step, created_at)
                 values ($1, $2, $3, 0, $4)
                 on conflict (user_id) do update
                 set key_id = excluded.key_id, sealed_secret = excluded.sealed_secret,
                     created_at = excluded.created_at
                 where second_factors.enabled_at is null",
                user.as_uuid(),
                sealed.key_id,
                sealed.bytes,
                self.clock.now(),
            );
            if kept.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(DomainError::SecondFactorOn.into());
            }
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(())
        };
        self.database.transaction(|tx| enrol(tx).scope_boxed()).await?;
        entry.log();
        Ok(())
    }

    /// Switches the second factor on by a first right code, and ends all other sessions. Another address
    /// that was asked for without a code is asked for no more.
    ///
    /// [`DomainError::NoSecondFactor`] when none is pending.
    pub(crate) async fn enable_second_factor(
        &self,
        caller: SignedIn,
        code: Option<&Code>,
        recovery: &[OpaqueHash],
        entry: &Entry,
    ) -> Result<(), Error> {
        let user = UserId::from_uuid(caller.id);
        let now = self.clock.now();
        let hashes: &Vec<Vec<u8>> = &recovery.iter().map(|hash| hash.to_vec()).collect();
        let enable = async |tx: &mut PgConnection| {
            let before = self.lock_for(tx, caller, user).await?;
            let decided = before.clone().enable_second_factor(now)?;
            let after = self.apply(tx, before, decided).await?;
            end_tokens_of_other_addresses(tx, &after).await?;
            end_link_flows(tx, user).await?;
            let row = lock(tx, user).await?.ok_or(DomainError::NoSecondFactor)?;
            if row.enabled_at.is_some() {
                return Err(DomainError::SecondFactorOn.into());
            }
            let step = match code {
                Some(Code::App(typed)) => self.step_of(user, &row, typed.expose())?,
                _ => None,
            };
            let step = step.ok_or_else(wrong_code)?;
            sqlx::query!(
                "update second_factors
                 set enabled_at = $2, last_step = $3, recovery_hashes = $4, enabled_unproven = $5
                 where user_id = $1",
                user.as_uuid(),
                now,
                step,
                hashes,
                !after.is_email_verified(),
            )
            .execute(&mut *tx)
            .await?;
            end_sessions(tx, user, Some(caller.session)).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(())
        };
        self.database.transaction(|tx| enable(tx).scope_boxed()).await?;
        self.outbox.wake();
        entry.log();
        Ok(())
    }

    /// Switches a user's second factor off by what the caller shows, who is the user or an administrator, and ends
    /// all sessions of the user but the caller's own.
    ///
    /// [`DomainError::NoSecondFactor`] when it is off.
    pub(crate) async fn disable_second_factor(
        &self,
        caller: SignedIn,
        user: UserId,
        proof: Proof<'_>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let disable = async |tx: &mut PgConnection| {
            let before = self.lock_for(tx, caller, user).await?;
            let decided = before.clone().disable_second_factor()?;
            self.apply(tx, before, decided).await?;
            let used = self.prove(tx, proof).await?;
            if !remove_second_factor(tx, user).await? {
                return Err(DomainError::NoSecondFactor.into());
            }
            end_sessions(tx, user, Some(caller.session)).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(used)
        };
        let used = self.database.transaction(|tx| disable(tx).scope_boxed()).await?;
        self.after_commit(used.as_ref(), entry);
        Ok(())
    }

    /// Keeps other recovery codes in the place of those before, by what the caller shows.
    ///
    /// [`DomainError::NoSecondFactor`] when it is off.
    pub(crate) async fn renew_recovery_codes(
        &self,
        caller: SignedIn,
        proof: Proof<'_>,
        recovery: &[OpaqueHash],
        entry: &Entry,
    ) -> Result<(), Error> {
        let user = UserId::from_uuid(caller.id);
        let hashes: &Vec<Vec<u8>> = &recovery.iter().map(|hash| hash.to_vec()).collect();
        let renew = async |tx: &mut PgConnection| {
            self.lock_for(tx, caller, user).await?.active()?;
            let used = self.prove(tx, proof).await?;
            let renewed = sqlx::query!(
                "update second_factors set recovery_hashes = $2
                 where user_id = $1 and enabled_at is not null",
                user.as_uuid(),
                hashes,
            );
            if renewed.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(DomainError::NoSecondFactor.into());
            }
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(used)
        };
        let used = self.database.transaction(|tx| renew(tx).scope_boxed()).await?;
        self.after_commit(used.as_ref(), entry);
        Ok(())
    }

    /// The step that a code is of, if it is good.
    pub(super) fn step_of(
        &self,
        user: UserId,
        row: &Row,
        typed: &str,
    ) -> Result<Option<i64>, SealError> {
        let sealed = Sealed { key_id: row.key_id.clone(), bytes: row.sealed_secret.clone() };
        let secret = self.sealing.open(&sealed, user.as_uuid())?;
        let secret = TotpSecret::of(secret.expose()).ok_or(SealError::Broken)?;
        Ok(secret.step_of(typed, step_at(self.clock.now()), row.last_step))
    }

    /// After the commit of what a code was asked for: what is in the outbox goes out, and the audit
    /// trail's lines are written.
    pub(super) fn after_commit(&self, used: Option<&Entry>, entry: &Entry) {
        self.outbox.wake();
        entry.log();
        if let Some(used) = used {
            used.log();
        }
    }

    /// Seals anew what was sealed with a former key, up to `limit` of the users behind `after`. One that
    /// cannot be opened is left, and named in the log.
    pub(crate) async fn reseal_second_factors(
        &self,
        after: Uuid,
        limit: i64,
    ) -> Result<Resealed, Error> {
        let former = &self.sealing.former();
        if former.is_empty() {
            return Ok(Resealed::default());
        }
        let reseal = async |tx: &mut PgConnection| {
            let found = sqlx::query!(
                "select user_id, key_id, sealed_secret from second_factors
                 where key_id = any($1) and user_id > $3 order by user_id limit $2
                 for update skip locked",
                former,
                limit,
                after,
            );
            let mut resealed = Resealed::default();
            for row in found.fetch_all(&mut *tx).await? {
                resealed.last = Some(row.user_id);
                let before = Sealed { key_id: row.key_id, bytes: row.sealed_secret };
                let secret = match self.sealing.open(&before, row.user_id) {
                    Ok(secret) => secret,
                    Err(error) => {
                        let user = row.user_id;
                        tracing::error!(user.id = %user, error = %error, "a second factor cannot be opened");
                        continue;
                    }
                };
                let sealed = self.sealing.seal(secret.expose(), row.user_id)?;
                let save = sqlx::query!(
                    "update second_factors set key_id = $2, sealed_secret = $3 where user_id = $1",
                    row.user_id,
                    sealed.key_id,
                    sealed.bytes,
                );
                resealed.count += save.execute(&mut *tx).await?.rows_affected();
            }
            Ok::<_, Error>(resealed)
        };
        self.database.transaction(|tx| reseal(tx).scope_boxed()).await
    }
}

/// Removes a user's second factor, if it is on; says whether it was.
pub(super) async fn remove_second_factor(
    tx: &mut PgConnection,
    user: UserId,
) -> Result<bool, Error> {
    let removed = sqlx::query!(
        "delete from second_factors where user_id = $1 and enabled_at is not null",
        user.as_uuid(),
    );
    Ok(removed.execute(tx).await?.rows_affected() > 0)
}

/// Removes a user's second factor, if it was on before the address was proven; says whether it was.
pub(super) async fn remove_unproven_factor(
    tx: &mut PgConnection,
    before: &User,
) -> Result<bool, Error> {
    let removed = sqlx::query!(
        "delete from second_factors
         where user_id = $1 and enabled_at is not null and (enabled_unproven or $2)",
        before.id.as_uuid(),
        !before.is_email_verified(),
    );
    Ok(removed.execute(tx).await?.rows_affected() > 0)
}

/// Finds a user's second factor and locks its row.
pub(super) async fn lock(tx: &mut PgConnection, user: UserId) -> Result<Option<Row>, Error> {
    let row = sqlx::query_as!(
        Row,
        "select key_id, sealed_secret, last_step, enabled_at from second_factors
         where user_id = $1 for update",
        user.as_uuid(),
    );
    Ok(row.fetch_optional(tx).await?)
}
