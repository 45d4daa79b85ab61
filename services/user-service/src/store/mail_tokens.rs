//! The tokens that users get by mail: kept as hashes, redeemed once.

use auth::MailTokens;
use auth::opaque::OpaqueHash;
use auth::password::HashedPassword;
use chassis::RequestId;
use chassis::database::FutureExt;
use contracts::UserId;
use platform::audit::{Actor, Entry};
use sqlx::PgConnection;

use super::external_accounts::remove_accounts;
use super::passwords::set_password;
use super::second_factors::remove_unproven_factor;
use super::sessions::end_sessions;
use super::{Decided, Store};
use crate::config::MailTokenSettings;
use crate::domain::{DomainError, Email, MailToken, NewToken, Purpose, User};
use crate::error::Error;

/// How tokens are made.
#[derive(Debug, Clone)]
pub(crate) struct TokenMaking {
    pub(crate) maker: MailTokens,
    pub(crate) settings: MailTokenSettings,
}

impl Store {
    /// A token that may be sent; nothing is kept of it until it is.
    pub(crate) fn new_token(&self, purpose: Purpose) -> NewToken {
        let lifetime = match purpose {
            Purpose::Verification => self.tokens.settings.verification_expiration,
            Purpose::PasswordReset => self.tokens.settings.password_reset_expiration,
        };
        NewToken { id: self.clock.new_id(), expires_at: self.clock.now() + lifetime }
    }

    pub(super) async fn insert_token(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        token: &MailToken,
    ) -> Result<(), Error> {
        let hash = self.tokens.maker.token(token.id).hash();
        sqlx::query!(
            "insert into mail_tokens (id, user_id, purpose, email, token_hash, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
            token.id,
            user.as_uuid(),
            token.purpose.as_str(),
            token.email.as_str(),
            hash.as_slice(),
            self.clock.now(),
            token.expires_at,
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Whether a token is good at the moment.
    pub(crate) async fn knows_token(
        &self,
        presented: OpaqueHash,
        purpose: Purpose,
    ) -> Result<bool, Error> {
        let is_known = sqlx::query_scalar!(
            r#"select exists (select from mail_tokens where token_hash = $1 and purpose = $2
                              and expires_at > $3) as "is_known!""#,
            presented.as_slice(),
            purpose.as_str(),
            self.clock.now(),
        );
        Ok(is_known.fetch_one(&self.database).await?)
    }

    /// Proves an address with the token that went there.
    ///
    /// [`DomainError::EmailTaken`] when it was to become the user's own and somebody else was faster.
    pub(crate) async fn verify_email(
        &self,
        presented: OpaqueHash,
        request: &RequestId,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let prove = |user: User, email: &Email| user.prove(email, now);
        let entry = self
            .database
            .transaction(|tx| {
                async move {
                    let purpose = Purpose::Verification;
                    let (before, user) = self.redeem(tx, presented, purpose, &prove).await?;
                    let is_another = before.email != user.email;
                    let action = if is_another { "email-change" } else { "email-verification" };
                    self.record(tx, &user, (action, "success"), request).await
                }
                .scope_boxed()
            })
            .await?;
        self.outbox.wake();
        entry.log();
        Ok(())
    }

    /// Sets another password with the token that came by mail, and ends all sessions; gives the user
    /// whose it is.
    pub(crate) async fn reset_password(
        &self,
        presented: OpaqueHash,
        password: &HashedPassword,
        request: &RequestId,
    ) -> Result<User, Error> {
        let now = self.clock.now();
        let reset = |user: User, email: &Email| user.reset_password(email, now);
        let (user, entry) = self
            .database
            .transaction(|tx| {
                async move {
                    let purpose = Purpose::PasswordReset;
                    let (before, user) = self.redeem(tx, presented, purpose, &reset).await?;
                    // Whoever switched it on had not proven that the address is theirs; the link of another mail may
                    // have been clicked since by whose it is.
                    if remove_unproven_factor(tx, &before).await? {
                        self.record(tx, &user, ("second-factor-off", "unproven"), request).await?;
                    }
                    // Whoever linked it may have had the password before, or the address: an issuer says it of
                    // somebody who has it no more.
                    if remove_accounts(tx, user.id).await? {
                        self.notice_unlinked(tx, user.id).await?;
                        self.record(tx, &user, ("external-unlink", "reset"), request).await?;
                    }
                    set_password(tx, user.id, password).await?;
                    end_sessions(tx, user.id, None).await?;
                    let entry =
                        self.record(tx, &user, ("password-reset", "success"), request).await?;
                    Ok::<_, Error>((user, entry))
                }
                .scope_boxed()
            })
            .await?;
        self.outbox.wake();
        entry.log();
        Ok(user)
    }

    /// Changes the user of a token that is presented as `decide` says of the address that it was sent
    /// to; gives the user before and after. The token is gone then, and with it all others that stand for
    /// the same.
    async fn redeem(
        &self,
        tx: &mut PgConnection,
        presented: OpaqueHash,
        purpose: Purpose,
        decide: &(impl Fn(User, &Email) -> Decided + Sync),
    ) -> Result<(User, User), Error> {
        let token = sqlx::query!(
            "select user_id, email from mail_tokens
             where token_hash = $1 and purpose = $2 and expires_at > $3",
            presented.as_slice(),
            purpose.as_str(),
            self.clock.now(),
        );
        let token = token.fetch_optional(&mut *tx).await?.ok_or(DomainError::WrongToken)?;
        let proven = Email::from_stored(token.email);
        // Of two who present one token at a time, the second finds none left.
        let before = self.lock(tx, UserId::from_uuid(token.user_id)).await?;
        let decided = decide(before.clone(), &proven)?;
        let user = self.apply(tx, before.clone(), decided).await?;
        let used =
            sqlx::query!("delete from mail_tokens where token_hash = $1", presented.as_slice(),);
        if used.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(DomainError::WrongToken.into());
        }
        self.end_tokens(tx, &user, purpose, &proven).await?;
        Ok((before, user))
    }

    /// Removes the tokens of a user that prove the same for the same purpose, and those that went to
    /// addresses that the user neither has nor asks for any more.
    pub(super) async fn end_tokens(
        &self,
        tx: &mut PgConnection,
        user: &User,
        purpose: Purpose,
        proven: &Email,
    ) -> Result<(), Error> {
        sqlx::query!(
            "delete from mail_tokens where user_id = $1 and purpose = $2 and email = $3",
            user.id.as_uuid(),
            purpose.as_str(),
            proven.as_str(),
        )
        .execute(&mut *tx)
        .await?;
        end_tokens_of_other_addresses(tx, user).await
    }

    /// Writes into the audit trail what a redeemed token did.
    async fn record(
        &self,
        tx: &mut PgConnection,
        user: &User,
        (action, outcome): (&'static str, &'static str),
        request: &RequestId,
    ) -> Result<Entry, Error> {
        let entry = Entry::new(Actor::User(user.id.as_uuid()), action, outcome);
        let entry = entry.target(format_args!("user:{}", user.id)).request(request);
        self.audit.record_in(tx, &entry).await?;
        Ok(entry)
    }

    /// Removes tokens whose time is up, up to `limit`; tells how many.
    pub(crate) async fn sweep_mail_tokens(&self, limit: i64) -> Result<u64, Error> {
        let swept = sqlx::query!(
            "delete from mail_tokens where id = any(array
               (select id from mail_tokens where expires_at <= $1
                order by expires_at limit $2 for update skip locked))",
            self.clock.now(),
            limit,
        );
        Ok(swept.execute(&self.database).await?.rows_affected())
    }
}

/// Removes the tokens that went to addresses that the user neither has nor asks for any more.
pub(super) async fn end_tokens_of_other_addresses(
    tx: &mut PgConnection,
    user: &User,
) -> Result<(), Error> {
    let addresses = [Some(&user.email), user.pending_email.as_ref()];
    let addresses: Vec<String> =
        addresses.into_iter().flatten().map(|email| email.as_str().to_owned()).collect();
    sqlx::query!(
        "delete from mail_tokens where user_id = $1 and email <> all($2)",
        user.id.as_uuid(),
        &addresses,
    )
    .execute(tx)
    .await?;
    Ok(())
}
