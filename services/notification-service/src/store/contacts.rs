//! How users are reached, and what goes with a user who is deleted.

use chrono::{DateTime, Utc};
use contracts::UserId;
use messaging::erasure;
use sqlx::PgConnection;

use super::Store;
use crate::domain::{Contact, ContactDetails};
use crate::error::Error;

/// Why a deleted user's pending notifications end.
const USER_GONE: &str = "the user is gone";

impl Store {
    /// How a user is reached.
    pub(crate) async fn contact(&self, user: UserId) -> Result<Option<Contact>, Error> {
        let row = sqlx::query_as!(
            ContactRow,
            "select email, name, as_of, version, undeliverable from contacts where user_id = $1",
            user.as_uuid(),
        );
        Ok(row.fetch_optional(&self.database).await?.map(|row| row.into_contact(user)))
    }
}

/// A user's contact, its row locked.
pub(super) async fn lock(tx: &mut PgConnection, user: UserId) -> Result<Option<Contact>, Error> {
    let row = sqlx::query_as!(
        ContactRow,
        "select email, name, as_of, version, undeliverable from contacts where user_id = $1 for update",
        user.as_uuid(),
    );
    Ok(row.fetch_optional(tx).await?.map(|row| row.into_contact(user)))
}

struct ContactRow {
    email: Option<String>,
    name: Option<String>,
    as_of: DateTime<Utc>,
    version: Option<i64>,
    undeliverable: bool,
}

impl ContactRow {
    fn into_contact(self, user_id: UserId) -> Contact {
        let Self { email, name, as_of, version, undeliverable } = self;
        let details = email.zip(name).map(|(email, name)| ContactDetails { email, name });
        Contact { user_id, details, as_of, version, undeliverable }
    }
}

/// Saves a contact. With a deleted user go the words of all notifications, which hold the name or
/// what another service wrote, and pending ones end.
pub(super) async fn save(tx: &mut PgConnection, contact: &Contact) -> Result<(), Error> {
    let details = contact.details.as_ref();
    sqlx::query!(
        "insert into contacts (user_id, email, name, as_of, version, deleted, undeliverable)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (user_id) do update
         set email = excluded.email, name = excluded.name, as_of = excluded.as_of,
             version = excluded.version, deleted = excluded.deleted,
             undeliverable = excluded.undeliverable",
        contact.user_id.as_uuid(),
        details.map(|details| details.email.as_str()),
        details.map(|details| details.name.as_str()),
        contact.as_of,
        contact.version,
        details.is_none(),
        contact.undeliverable,
    )
    .execute(&mut *tx)
    .await?;
    if details.is_none() {
        erasure::erase(tx, contact.user_id.as_uuid()).await?;
        sqlx::query!(
            "update notifications
             set status = 'failed', failure_reason = $2, recipient = null, next_attempt_at = null,
                 version = version + 1
             where user_id = $1 and status = 'pending'",
            contact.user_id.as_uuid(),
            USER_GONE,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update notifications
             set subject = '', text_body = '', html_body = '', fingerprint = null
             where user_id = $1",
            contact.user_id.as_uuid(),
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Notes that mail to an address is refused, if it is the user's still.
pub(super) async fn mark_undeliverable(
    tx: &mut PgConnection,
    user: UserId,
    address: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "update contacts set undeliverable = true where user_id = $1 and email = $2",
        user.as_uuid(),
        address,
    )
    .execute(tx)
    .await?;
    Ok(())
}
