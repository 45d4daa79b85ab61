//! Idempotency keys: what was asked under a key, what it made, what was answered.
//!
//! The key is claimed in the transaction that saves the payment, so there is never one without the
//! other. Two requests that come at the same moment meet at an advisory lock: the second is told at
//! once, instead of waiting for the first.
//!
//! A key's time is up when its payment has been settled for as long as keys are kept. While it is
//! not known what became of the payment, the key must not make another.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::{PaymentId, UserId};
use sqlx::{PgConnection, PgExecutor};

use super::Store;
use crate::error::Error;

/// A request's claim on a key.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Keys of different users are different keys.
    pub(crate) user_id: UserId,
    /// 1 to 255 bytes.
    pub(crate) key: String,
    /// SHA-256 of what is asked.
    pub(crate) fingerprint: [u8; 32],
    /// How long after its payment is settled the key is free again.
    pub(crate) expiration: Duration,
}

/// What a key keeps.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// The payment it made.
    pub(crate) payment_id: PaymentId,
    /// The answer, once there is one.
    pub(crate) answer: Option<String>,
    /// Whether an earlier request claimed it.
    pub(crate) replayed: bool,
}

impl Kept {
    pub(super) fn new(payment_id: PaymentId) -> Self {
        Self { payment_id, answer: None, replayed: false }
    }
}

impl Store {
    /// What the key of a claim keeps, if anything. [`Error::KeyReused`] when it was claimed for
    /// another request.
    pub(crate) async fn kept(&self, claim: &Claim) -> Result<Option<Kept>, Error> {
        find(&self.database, claim, self.clock.now()).await
    }

    /// Keeps the answer for the payment that a claim made, unless one is kept already; gives the
    /// one that is kept.
    pub(crate) async fn keep_answer(
        &self,
        claim: &Claim,
        payment: PaymentId,
        answer: String,
    ) -> Result<String, Error> {
        let kept = sqlx::query_scalar!(
            r#"update idempotency_keys set response_body = coalesce(response_body, $3)
               where user_id = $1 and key = $2 and payment_id = $4
               returning response_body as "body!""#,
            claim.user_id.as_uuid(),
            claim.key,
            answer,
            payment.as_uuid(),
        );
        // Swept or taken over in the meantime: then nobody can ask for it again either.
        Ok(kept.fetch_optional(&self.database).await?.unwrap_or(answer))
    }

    /// Removes up to `limit` keys whose time is up; tells how many.
    pub(crate) async fn sweep_keys(&self, expiration: Duration, limit: i64) -> Result<u64, Error> {
        let now = self.clock.now();
        let swept = sqlx::query!(
            "with picked as materialized
               (select k.user_id, k.key from idempotency_keys k
                join payments p on p.id = k.payment_id
                where k.expires_at <= $1 and p.status <> 'processing' and p.updated_at <= $2
                order by k.expires_at limit $3 for update of k skip locked)
             delete from idempotency_keys k using picked
             where k.user_id = picked.user_id and k.key = picked.key",
            now,
            now - expiration,
            limit,
        );
        Ok(swept.execute(&self.database).await?.rows_affected())
    }
}

/// Takes the lock of a key until the transaction ends; false when another has it.
pub(super) async fn lock(tx: &mut PgConnection, claim: &Claim) -> Result<bool, Error> {
    let name = format!("idempotency:{}:{}", claim.user_id, claim.key);
    let locked = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "locked!""#,
        name,
    );
    Ok(locked.fetch_one(tx).await?)
}

pub(super) async fn find(
    executor: impl PgExecutor<'_>,
    claim: &Claim,
    now: DateTime<Utc>,
) -> Result<Option<Kept>, Error> {
    let row = sqlx::query!(
        "select k.fingerprint, k.payment_id, k.response_body from idempotency_keys k
         join payments p on p.id = k.payment_id
         where k.user_id = $1 and k.key = $2
           and (k.expires_at > $3 or p.status = 'processing' or p.updated_at > $4)",
        claim.user_id.as_uuid(),
        claim.key,
        now,
        now - claim.expiration,
    );
    let Some(row) = row.fetch_optional(executor).await? else { return Ok(None) };
    if row.fingerprint != claim.fingerprint {
        return Err(Error::KeyReused);
    }
    let payment_id = PaymentId::from_uuid(row.payment_id);
    Ok(Some(Kept { payment_id, answer: row.response_body, replayed: true }))
}

/// Claims a key; one whose time is up and that was not swept yet is taken over.
pub(super) async fn insert(
    tx: &mut PgConnection,
    claim: &Claim,
    payment: PaymentId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into idempotency_keys (user_id, key, fingerprint, payment_id, expires_at)
         values ($1, $2, $3, $4, $5)
         on conflict (user_id, key) do update
         set fingerprint = excluded.fingerprint, payment_id = excluded.payment_id,
             response_body = null, expires_at = excluded.expires_at",
        claim.user_id.as_uuid(),
        claim.key,
        claim.fingerprint.as_slice(),
        payment.as_uuid(),
        now + claim.expiration,
    )
    .execute(tx)
    .await?;
    Ok(())
}
