//! Sessions that have ended and whose access tokens have not, until that is published.

use std::time::Duration;

use uuid::Uuid;

use super::Store;
use crate::error::Error;

impl Store {
    /// Sessions whose end was not published yet, up to `limit`.
    pub(crate) async fn unpublished_sessions(&self, limit: i64) -> Result<Vec<Uuid>, Error> {
        let unpublished = sqlx::query_scalar!(
            "select session_id from ended_sessions where told_at is null
             order by ended_at limit $1",
            limit,
        );
        Ok(unpublished.fetch_all(&self.database).await?)
    }

    /// Notes that every service can know of these sessions.
    pub(crate) async fn mark_published(&self, sessions: &[Uuid]) -> Result<(), Error> {
        if sessions.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "update ended_sessions set told_at = $2 where session_id = any($1)",
            sessions,
            self.clock.now(),
        )
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Has all of them published again.
    pub(crate) async fn mark_unpublished(&self) -> Result<u64, Error> {
        let forget =
            sqlx::query!("update ended_sessions set told_at = null where told_at is not null");
        Ok(forget.execute(&self.database).await?.rows_affected())
    }

    /// Removes sessions that ended longer ago than `kept`, up to `limit`; tells how many.
    pub(crate) async fn sweep_ended(&self, kept: Duration, limit: i64) -> Result<u64, Error> {
        let before = self.clock.now() - kept;
        let sweep = sqlx::query!(
            "delete from ended_sessions where session_id = any(array
               (select session_id from ended_sessions where ended_at <= $1
                order by ended_at limit $2 for update skip locked))",
            before,
            limit,
        );
        Ok(sweep.execute(&self.database).await?.rows_affected())
    }
}
