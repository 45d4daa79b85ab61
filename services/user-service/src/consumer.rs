//! What the service does with other services' events.

use chassis::Clock;
use contracts::UserId;
use contracts::erasure::ErasureConfirmed;
use contracts::notification::NotificationFailed;
use contracts::user::UserErasureTimedOut;
use messaging::{Delivery, Handlers};

use crate::domain::User;
use crate::error::Error;
use crate::metrics::{self, ErasureOutcome};
use crate::store::Store;

/// The key of the service's queue in `[queues]`.
pub(crate) const QUEUE: &str = "user_events";

/// Handles the events of the service's queue.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

impl Events {
    /// All that comes to the service's queue.
    pub(crate) fn handlers(self) -> Handlers<Self> {
        Handlers::new(self)
            .on(Self::notification_failed)
            .on(Self::erasure_confirmed)
            .on(Self::erasure_timed_out)
    }

    /// A permanent failure marks the address that failed undeliverable.
    async fn notification_failed(self, failed: Delivery<NotificationFailed>) -> Result<(), Error> {
        let event = &failed.data;
        if !event.permanent || event.channel != "email" {
            return Ok(());
        }
        let now = self.clock.now();
        let mark = |user: User| user.mark_undeliverable(event.user_version, now);
        self.store.change_once(&failed.inbox_key(), event.user_id, mark).await
    }

    /// One of the services that are waited for has erased a user; with the last one it is done.
    async fn erasure_confirmed(self, confirmed: Delivery<ErasureConfirmed>) -> Result<(), Error> {
        let user = confirmed.data.user_id;
        let message = confirmed.inbox_key();
        let waiting = self.store.confirm_erasure_once(&message, user, confirmed.service).await?;
        if waiting.is_some_and(|waiting| waiting.missing.is_empty()) {
            completed(user);
        }
        Ok(())
    }

    /// Not all services have erased a user in time: they were asked again.
    async fn erasure_timed_out(
        self,
        timed_out: Delivery<UserErasureTimedOut>,
    ) -> Result<(), Error> {
        let user = timed_out.data.user_id;
        match self.store.time_out_erasure_once(&timed_out.inbox_key(), user).await? {
            // Nobody has answered since: those who were missing read the event no more.
            Some(waiting) if waiting.missing.is_empty() => {
                metrics::erasure(ErasureOutcome::Unconfirmed);
                tracing::warn!(
                    user.id = %user,
                    "an erasure ended unconfirmed: the services that were missing are no readers any more"
                );
            }
            Some(waiting) => {
                metrics::erasure(ErasureOutcome::AskedAgain);
                tracing::error!(
                    user.id = %user,
                    erasure.missing = ?waiting.missing,
                    "services have not confirmed in time that they erased a user; they are asked again"
                );
            }
            None => {}
        }
        Ok(())
    }
}

/// Counts and logs the end of an erasure.
fn completed(user: UserId) {
    metrics::erasure(ErasureOutcome::Completed);
    tracing::info!(user.id = %user, "every service that reads of deletions has erased a user");
}
