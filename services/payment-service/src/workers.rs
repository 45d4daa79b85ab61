//! Takes payments to the provider: claims a committed row, charges outside any transaction, saves
//! the outcome. And sweeps idempotency keys whose time is up.
//!
//! The provider's key is made of the payment's id and never changes, so asking again charges
//! nothing twice. A lost answer is *unknown*, not failed: the row stays and the same key asks again.
//!
//! # When a payment may be said not to have been charged
//!
//! Telling a payer "you have not been charged" is the one thing that cannot be taken back. It is
//! said in these cases only:
//!
//! - The card was declined, by the provider's own word under the payment's key.
//! - The provider refused the only call that was ever made.
//! - The key was *retired* ([`retire_key`](PaymentGateway::retire_key)), and the provider knew it
//!   from no charge.
//! - The key was retired, and a search that began when the provider shows all that it had done by
//!   then found nothing.
//!
//! A refusal of a later call says nothing of the earlier ones. So it ends the charging, as does age
//! (`charge_within`), and what had happened is looked up:
//!
//! ```text
//!   charge, again and again, for `charge_within`          each answer that says so settles
//!     └─ too old, or refused after a call of unknown outcome
//!          └─ look up ── found ──▶ settled as found
//!               └─ retire the key ── unused ──▶ canceled
//!                    └─ used: look up for `look_up_for` ── found ──▶ settled as found
//!                                                       └─ nothing ──▶ canceled
//! ```
//!
//! No charge comes after a cancellation: once the key is retired the provider takes it for no
//! charge, whoever calls (a worker whose lease ended, a process that was stopped for hours and goes
//! on, one of the version before). All that was charged began before, and is in the search at the
//! end of `look_up_for`, which is no shorter than [`SEARCH_LAG_MAX`]. The provider refuses to retire
//! a key, or to search? Then nothing is said, and the age of the oldest payment wakes somebody.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chassis::worker::{self, Step, Worker, WorkerSettings};
use chassis::{CancellationToken, Clock};
use resilience::retry::{Backoff, RetrySettings};
use telemetry::propagation;
use tracing::Instrument;

use crate::config::{IdempotencySettings, SettlementSettings};
use crate::domain::{DomainError, Outcome, Payment};
use crate::error::Error;
use crate::gateway::{
    ChargeOutcome, ChargeRequest, GatewayError, KEY_LIFETIME, PaymentGateway, RetiredKey,
    SEARCH_LAG_MAX, UNAUTHORIZED,
};
use crate::metrics::{self, Settled};
use crate::store::{Due, Store};

/// The first delay before an unknown outcome is asked for again has this ceiling.
const ASK_AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest delay before an unknown outcome is asked for again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(300);
/// The delay while the provider refuses our key: an operator has to mend the settings.
const UNAUTHORIZED_DELAY: Duration = Duration::from_secs(60);

/// Takes payments to the provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Charger {
    pub(crate) store: Store,
    pub(crate) gateway: Arc<dyn PaymentGateway>,
    pub(crate) settings: WorkerSettings,
    pub(crate) settlement: SettlementSettings,
    pub(crate) clock: Clock,
}

/// What the provider's answer means for the payment.
enum Next {
    /// The provider said how the charge ended.
    Settle(Outcome),
    /// Nothing was charged, as far as this worker's own call goes.
    GiveUp(Outcome, Settled),
    /// The outcome is unknown.
    Retry { after: Duration },
    /// The outcome of this call is known: it did nothing.
    RetryUncounted { after: Duration },
    /// Nothing can be charged any more; something may have been.
    OnlyLookUp,
}

impl Worker for Charger {
    type Error = Error;

    async fn due(&self) {
        self.store.due().await;
    }

    /// Takes one due payment to the provider.
    async fn step(&self) -> Result<Step, Error> {
        let claimed = self.store.claim_due(self.settings.lease).await?;
        let Some(due) = claimed else { return Ok(Step::Idle) };
        // More may be due: the next lane looks while this one charges.
        self.store.wake();
        let span = tracing::info_span!("charge", payment.id = %due.payment.id);
        if let Some(traceparent) = &due.traceparent {
            propagation::set_parent_from(&span, traceparent);
        }
        self.work_on(due).instrument(span).await?;
        Ok(Step::Worked)
    }
}

impl Charger {
    /// Charges until `shutdown`; a charge that is under way is finished first.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        worker::run(&self, &self.settings, &shutdown).await;
        Ok(())
    }

    /// Asks the provider what becomes of a payment, and saves it.
    async fn work_on(&self, due: Due) -> Result<(), Error> {
        let next = self.ask(&due).await;
        let id = due.payment.id;
        let now = self.clock.now();
        match next {
            Next::Retry { after } => self.store.postpone(id, now + after).await,
            Next::RetryUncounted { after } => self.store.postpone_uncounted(id, now + after).await,
            Next::OnlyLookUp => self.store.retire_key(id, now, now + ASK_AGAIN_FIRST).await,
            Next::Settle(outcome) => {
                let how = match outcome {
                    Outcome::Succeeded { .. } => Settled::Succeeded,
                    Outcome::Declined { .. } => Settled::Declined,
                };
                self.settle(&due, outcome, how).await
            }
            Next::GiveUp(outcome, how) => self.settle(&due, outcome, how).await,
        }
    }

    async fn settle(&self, due: &Due, outcome: Outcome, how: Settled) -> Result<(), Error> {
        let id = due.payment.id;
        let now = self.clock.now();
        let gives_up = matches!(how, Settled::Refused | Settled::Canceled);
        let settled = self.store.change(id, |payment| {
            // Another worker took it up after our lease, and may be charging it.
            if gives_up && payment.attempts != due.payment.attempts {
                return Err(DomainError::AskedAgain);
            }
            payment.settle(outcome.clone(), now)
        });
        match settled.await {
            Ok(payment) => {
                metrics::settled(how);
                tracing::info!(
                    payment.id = %id,
                    payment.status = payment.status.as_str(),
                    payment.attempts = payment.attempts,
                    "payment settled"
                );
            }
            // Another worker was faster after our lease; the provider said the same to it.
            Err(Error::Domain(DomainError::Settled | DomainError::AskedAgain)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Charges while there is time, then only looks.
    async fn ask(&self, due: &Due) -> Next {
        let in_time = self.age(&due.payment) < self.settlement.charge_within;
        if in_time && due.key_retired_at.is_none() {
            self.charge(due).await
        } else {
            self.look_up(due, Outcome::canceled(), Settled::Canceled).await
        }
    }

    async fn charge(&self, due: &Due) -> Next {
        let payment = &due.payment;
        let error = match self.gateway.charge(request(payment)).await {
            Ok(outcome) => return Next::Settle(outcome.into()),
            Err(error) => error,
        };
        log_failure(payment, &error);
        match error {
            GatewayError::Unknown { .. } => Next::Retry { after: delay(payment) },
            GatewayError::Retryable { retry_after } => {
                Next::RetryUncounted { after: retry_after.max(ASK_AGAIN_FIRST) }
            }
            GatewayError::Rejected { code, .. } if code == UNAUTHORIZED => {
                Next::RetryUncounted { after: UNAUTHORIZED_DELAY }
            }
            GatewayError::KeyReused => {
                self.look_up(due, Outcome::canceled(), Settled::Canceled).await
            }
            GatewayError::Rejected { code, .. } => {
                let refused = Outcome::refused(code);
                if payment.attempts <= 1 {
                    return Next::GiveUp(refused, Settled::Refused);
                }
                // An earlier call of unknown outcome may have charged.
                self.look_up(due, refused, Settled::Refused).await
            }
        }
    }

    /// Looks for a charge. Where there is none, and there can be none any more, the payment ends as
    /// `otherwise`.
    async fn look_up(&self, due: &Due, otherwise: Outcome, how: Settled) -> Next {
        let payment = &due.payment;
        match self.gateway.find(request(payment)).await {
            Ok(Some(outcome)) => Next::Settle(outcome.into()),
            Ok(None) => match due.key_retired_at {
                None => self.retire_key(payment, otherwise, how).await,
                Some(at) if self.since(at) >= self.settlement.look_up_for => {
                    Next::GiveUp(otherwise, how)
                }
                Some(_) => Next::Retry { after: delay(payment) },
            },
            Err(error) => later(payment, &error),
        }
    }

    /// Sees to it that nothing is charged from now on.
    async fn retire_key(&self, payment: &Payment, otherwise: Outcome, how: Settled) -> Next {
        // Of an older one the provider may have forgotten that it was charged.
        let remembered = self.age(payment) + SEARCH_LAG_MAX < KEY_LIFETIME;
        match self.gateway.retire_key(request(payment)).await {
            Ok(RetiredKey::Unused) if remembered => Next::GiveUp(otherwise, how),
            Ok(_) => Next::OnlyLookUp,
            Err(error) => later(payment, &error),
        }
    }

    fn age(&self, payment: &Payment) -> Duration {
        self.since(payment.created_at)
    }

    fn since(&self, at: chrono::DateTime<chrono::Utc>) -> Duration {
        (self.clock.now() - at).to_std().unwrap_or_default()
    }
}

/// When to go on after a look that failed.
fn later(payment: &Payment, error: &GatewayError) -> Next {
    log_failure(payment, error);
    let after = match error {
        GatewayError::Retryable { retry_after } => *retry_after,
        GatewayError::Rejected { .. } => UNAUTHORIZED_DELAY,
        GatewayError::Unknown { .. } | GatewayError::KeyReused => Duration::ZERO,
    };
    Next::Retry { after: delay(payment).max(after) }
}

fn log_failure(payment: &Payment, error: &GatewayError) {
    tracing::warn!(
        payment.id = %payment.id,
        payment.attempts = payment.attempts,
        error = %error,
        "payment provider gave no outcome"
    );
}

/// Removes idempotency keys whose time is up, until `shutdown`.
pub(crate) async fn sweep_keys(
    store: Store,
    settings: IdempotencySettings,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let batch = async |limit| store.sweep_keys(settings.expiration, limit).await;
    worker::sweep("idempotency keys", settings.sweep_interval, &shutdown, batch).await;
    Ok(())
}

/// The same request each time: all of it comes from the row.
fn request(payment: &Payment) -> ChargeRequest {
    ChargeRequest {
        payment_id: payment.id.as_uuid(),
        money: payment.money,
        payment_method: payment.method.as_str().to_owned(),
        customer: None,
    }
}

/// The delay before a payment of unknown outcome is asked for again.
fn delay(payment: &Payment) -> Duration {
    let backoff = Backoff::new(&RetrySettings {
        max_attempts: u32::MAX,
        backoff_multiplier: 2.0,
        max_backoff: ASK_AGAIN_MAX,
        initial_backoff: ASK_AGAIN_FIRST,
        ..Default::default()
    });
    backoff.delay(payment.attempts)
}

impl From<ChargeOutcome> for Outcome {
    fn from(outcome: ChargeOutcome) -> Self {
        match outcome {
            ChargeOutcome::Succeeded { provider_id } => Self::Succeeded { provider_id },
            ChargeOutcome::Declined { provider_id, code, decline_code, message } => {
                Self::Declined { provider_id, code: decline_code.unwrap_or(code), message }
            }
        }
    }
}
