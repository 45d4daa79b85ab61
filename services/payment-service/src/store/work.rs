//! What the worker does with payments that are not settled: takes one up, and puts it off.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::PaymentId;

use super::Store;
use crate::domain::Payment;
use crate::error::Error;

/// A payment that was taken up.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) payment: Payment,
    /// Of the request that made it.
    pub(crate) traceparent: Option<String>,
    /// When its key was retired at the provider: since then it is not charged, only looked up.
    pub(crate) key_retired_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Takes up one due payment: nobody else gets it before the lease ends. One in a currency that this
    /// version does not take is left to a newer one.
    pub(crate) async fn claim_due(&self, lease: Duration) -> Result<Option<Due>, Error> {
        let now = self.clock.now();
        let claimed = sqlx::query!(
            "update payments set next_attempt_at = $2, attempts = attempts + 1
             where id = (select id from payments
                         where status = 'processing' and next_attempt_at <= $1
                           and currency = any($3)
                         order by next_attempt_at limit 1 for update skip locked)
             returning id, traceparent, key_retired_at",
            now,
            now + lease,
            &*self.currencies,
        );
        let Some(claimed) = claimed.fetch_optional(&self.database).await? else { return Ok(None) };
        let payment = self.payment(PaymentId::from_uuid(claimed.id)).await?;
        let traceparent = claimed.traceparent;
        let key_retired_at = claimed.key_retired_at;
        Ok(Some(Due { payment, traceparent, key_retired_at }))
    }

    /// Lets the worker ask the provider again at a time. Changes nothing of the payment itself.
    pub(crate) async fn postpone(&self, id: PaymentId, until: DateTime<Utc>) -> Result<(), Error> {
        let postponed = sqlx::query!(
            "update payments set next_attempt_at = $2 where id = $1 and status = 'processing'",
            id.as_uuid(),
            until,
        );
        postponed.execute(&self.database).await?;
        Ok(())
    }

    /// [`postpone`](Self::postpone) after a call of which it is known that it did nothing: it does
    /// not count.
    pub(crate) async fn postpone_uncounted(
        &self,
        id: PaymentId,
        until: DateTime<Utc>,
    ) -> Result<(), Error> {
        let postponed = sqlx::query!(
            "update payments set next_attempt_at = $2, attempts = greatest(attempts - 1, 0)
             where id = $1 and status = 'processing'",
            id.as_uuid(),
            until,
        );
        postponed.execute(&self.database).await?;
        Ok(())
    }

    /// Remembers that nothing can be charged any more, and has the worker look at a time. The first
    /// time counts.
    pub(crate) async fn retire_key(
        &self,
        id: PaymentId,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<(), Error> {
        let retired = sqlx::query!(
            "update payments
             set next_attempt_at = $3, key_retired_at = coalesce(key_retired_at, $2)
             where id = $1 and status = 'processing'",
            id.as_uuid(),
            at,
            until,
        );
        retired.execute(&self.database).await?;
        Ok(())
    }

    /// The age of the oldest payment that is not settled; zero when there is none.
    pub(crate) async fn unsettled_age(&self) -> Result<Duration, Error> {
        let oldest =
            sqlx::query_scalar!("select min(created_at) from payments where status = 'processing'");
        let age = oldest.fetch_one(&self.database).await?.map(|oldest| self.clock.now() - oldest);
        Ok(age.and_then(|age| age.to_std().ok()).unwrap_or_default())
    }
}
