//! The steps of erasures that messages lead to; they begin where users are saved.

use chassis::database::FutureExt;
use contracts::UserId;
use messaging::inbox::InboxKey;
use messaging::process_manager::count_open;
use sqlx::PgConnection;

use super::Store;
use crate::erasure::{self, Erasure, Message, Waiting};
use crate::error::Error;

impl Store {
    /// Notes that a service has erased a user; gives who is missing then, none where it was not waited for.
    /// A message seen before changes nothing.
    pub(crate) async fn confirm_erasure_once(
        &self,
        message: &InboxKey,
        user: UserId,
        by: String,
    ) -> Result<Option<Waiting>, Error> {
        self.step_erasure_once(message, user, Message::Confirmed { by }).await
    }

    /// Asks again those that have not confirmed in time; gives who they are, none where there are none. A
    /// message seen before changes nothing.
    pub(crate) async fn time_out_erasure_once(
        &self,
        message: &InboxKey,
        user: UserId,
    ) -> Result<Option<Waiting>, Error> {
        let terms = self.erasures.at(self.clock.now());
        self.step_erasure_once(message, user, Message::TimedOut { terms }).await
    }

    async fn step_erasure_once(
        &self,
        message: &InboxKey,
        user: UserId,
        what: Message,
    ) -> Result<Option<Waiting>, Error> {
        let step = async |tx: &mut PgConnection| {
            if !message.claim(tx).await? {
                return Ok(None);
            }
            let at = self.clock.now();
            let by = (&self.outbox, &self.clock);
            Ok::<_, Error>(erasure::step(by, tx, (user, at), what.clone()).await?)
        };
        let waiting = self.database.transaction(|tx| step(tx).scope_boxed()).await?;
        self.outbox.wake();
        Ok(waiting)
    }

    /// How many users were deleted longer ago than services may take, and not all have confirmed.
    pub(crate) async fn overdue_erasures(&self) -> Result<i64, Error> {
        let before = self.erasures.overdue_at(self.clock.now());
        Ok(count_open::<Erasure>(&self.database, before).await?)
    }
}
