//! What happened to a user, as the contract that the other services read.

use contracts::user::{
    MailTokenId, UserCreated, UserEmailChangeRequested, UserEmailVerificationRequested,
    UserPasswordChanged, UserPasswordResetRequested, UserSecondFactorDisabled,
    UserSecondFactorEnabled, UserUpdated,
};
use messaging::{EnqueueError, Outbox, erasure};
use sqlx::PgConnection;

use chassis::Clock;

use crate::domain::{Event, MailToken, User};
use crate::erasure::{self as erasures, ErasureTerms, Message};
use crate::error::Error;

/// The key in `[exchanges]` of what they are published through.
pub(crate) const EXCHANGE: &str = <UserCreated as contracts::Event>::EXCHANGE;

/// Writes the events to the outbox, in the transaction that saves the user.
pub(crate) async fn enqueue(
    (outbox, clock): (&Outbox, &Clock),
    terms: &ErasureTerms,
    tx: &mut PgConnection,
    user: &User,
    events: Vec<Event>,
) -> Result<(), Error> {
    // Some events change nothing of the user that has a time.
    let user_id = user.id;
    let at = user.updated_at;
    let now = clock.now();
    let email = || user.email.as_str().to_owned();
    let name = || user.name.as_str().to_owned();
    let version = Some(user.version);
    for event in events {
        let id = clock.new_id();
        match event {
            Event::Created(token) => {
                let expires_at = token.as_ref().map(|token| token.expires_at);
                let token_id = token.map(|token| token.id.into());
                let email = email();
                let name = name();
                let created = UserCreated { user_id, email, name, version, token_id, expires_at };
                outbox.enqueue(tx, id, at, &created).await?;
            }
            Event::Updated { changed, previous_email } => {
                let changed = changed.into_iter().map(str::to_owned).collect();
                let previous_email = previous_email.map(|email| email.as_str().to_owned());
                let email = email();
                let name = name();
                let updated =
                    UserUpdated { user_id, email, name, changed, previous_email, version };
                outbox.enqueue(tx, id, at, &updated).await?;
            }
            Event::VerificationRequested(MailToken { id: token, email, expires_at, .. }) => {
                let requested = UserEmailVerificationRequested {
                    user_id,
                    is_change: email != user.email,
                    email: email.as_str().to_owned(),
                    token_id: MailTokenId::from_uuid(token),
                    expires_at,
                    version,
                };
                outbox.enqueue(tx, id, now, &requested).await?;
            }
            Event::EmailChangeRequested => {
                outbox.enqueue(tx, id, at, &UserEmailChangeRequested { user_id }).await?;
            }
            Event::PasswordResetRequested(MailToken { id: token, email, expires_at, .. }) => {
                let requested = UserPasswordResetRequested {
                    user_id,
                    email: email.as_str().to_owned(),
                    token_id: MailTokenId::from_uuid(token),
                    expires_at,
                    version,
                };
                outbox.enqueue(tx, id, now, &requested).await?;
            }
            Event::PasswordChanged => {
                outbox.enqueue(tx, id, now, &UserPasswordChanged { user_id }).await?;
            }
            Event::SecondFactorEnabled => {
                outbox.enqueue(tx, id, now, &UserSecondFactorEnabled { user_id }).await?;
            }
            Event::SecondFactorDisabled => {
                outbox.enqueue(tx, id, now, &UserSecondFactorDisabled { user_id }).await?;
            }
            Event::Deleted => {
                // What was said about the user before goes; that they are gone stays: `user.deleted`, which
                // the first step of the erasure sends.
                erasure::erase(tx, user_id.as_uuid()).await?;
                let deleted = Message::Deleted { user_id, terms: terms.at(now) };
                erasures::step((outbox, clock), tx, (user_id, at), deleted).await?;
            }
        }
    }
    Ok(())
}

/// Writes to the outbox what the owner of an account is to be told though the user has not changed, in the
/// transaction of what happened.
pub(crate) async fn enqueue_notice(
    (outbox, clock): (&Outbox, &Clock),
    tx: &mut PgConnection,
    notice: &impl contracts::Event,
) -> Result<(), EnqueueError> {
    outbox.enqueue(tx, clock.new_id(), clock.now(), notice).await?;
    Ok(())
}
