//! What a user is shown of what went out by mail.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// A token that went to an address, without what is secret of it.
pub(crate) struct ShownToken {
    pub(crate) purpose: String,
    pub(crate) email: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl Store {
    /// The tokens of a user that are good still, the newest first. Limits of requests keep them few.
    pub(crate) async fn shown_tokens(&self, user: Uuid) -> Result<Vec<ShownToken>, Error> {
        let tokens = sqlx::query_as!(
            ShownToken,
            "select purpose, email, created_at, expires_at from mail_tokens
             where user_id = $1 and expires_at > $2 order by created_at desc, id",
            user,
            self.clock.now(),
        );
        Ok(tokens.fetch_all(&self.database).await?)
    }
}
