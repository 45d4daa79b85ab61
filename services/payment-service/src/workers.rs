//! Takes payments to the provider: claims a committed row, charges outside any transaction, saves
//! the outcome. And sweeps idempotency keys whose time is up.
//!
//! The provider's key is made of the payment's id and never changes, so asking again charges
//! nothing twice. A lost answer is *unknown*, not failed: the row stays and the same key asks again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chassis::worker::{self, Step, Worker, WorkerSettings};
use chassis::{CancellationToken, Clock, Interval};
use resilience::retry::{Backoff, RetrySettings};
use telemetry::propagation;
use tracing::Instrument;

use crate::domain::{DomainError, Outcome, Payment};
use crate::error::Error;
use crate::gateway::{
    ChargeOutcome, ChargeRequest, GatewayError, KEY_LIFETIME, PaymentGateway, UNAUTHORIZED,
};
use crate::store::Store;

/// The first pause before an unknown outcome is asked for again has this ceiling.
const ASK_AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest pause before an unknown outcome is asked for again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(300);
/// The pause while the provider refuses our key: an operator has to mend the settings.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(60);

/// Takes payments to the provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Charger {
    pub(crate) store: Store,
    pub(crate) gateway: Arc<dyn PaymentGateway>,
    pub(crate) settings: WorkerSettings,
    pub(crate) clock: Clock,
}

/// What the provider's answer means for the payment.
enum Next {
    Settle(Outcome),
    AskAgain { after: Duration },
}

impl Worker for Charger {
    type Error = Error;

    async fn due(&self) {
        self.store.due().await;
    }

    /// Takes one due payment to the provider.
    async fn step(&self) -> Result<Step, Error> {
        let claimed = self.store.claim_due(self.settings.lease).await?;
        let Some((payment, traceparent)) = claimed else { return Ok(Step::Idle) };
        // More may be due: the next lane looks while this one charges.
        self.store.wake();
        let span = tracing::info_span!("charge", payment.id = %payment.id);
        if let Some(traceparent) = traceparent {
            propagation::set_parent_from(&span, &traceparent);
        }
        self.charge(payment).instrument(span).await?;
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
    async fn charge(&self, payment: Payment) -> Result<(), Error> {
        let next = self.ask(&payment).await;
        let (id, now) = (payment.id, self.clock.now());
        let outcome = match next {
            Next::AskAgain { after } => return self.store.postpone(id, now + after).await,
            Next::Settle(outcome) => outcome,
        };
        match self.store.change(id, |payment| payment.settle(outcome, now)).await {
            Ok(payment) => tracing::info!(
                payment.id = %id,
                payment.status = payment.status.as_str(),
                payment.attempts = payment.attempts,
                "payment settled"
            ),
            // Another worker was faster after our lease; the provider said the same to it.
            Err(Error::Domain(DomainError::Settled)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Asks the provider. Once the provider may have forgotten our key, a charge is looked for
    /// before a new one is made.
    async fn ask(&self, payment: &Payment) -> Next {
        let age = self.clock.now() - payment.created_at;
        let forgotten = age.to_std().unwrap_or_default() + self.settings.lease >= KEY_LIFETIME;
        if forgotten {
            match self.gateway.find(payment.id.as_uuid()).await {
                Ok(Some(outcome)) => return Next::Settle(outcome.into()),
                Ok(None) => {}
                Err(error) => return self.refused(payment, error).await,
            }
        }
        match self.gateway.charge(request(payment)).await {
            Ok(outcome) => Next::Settle(outcome.into()),
            Err(error) => self.refused(payment, error).await,
        }
    }

    /// What a call that gave no outcome means.
    async fn refused(&self, payment: &Payment, error: GatewayError) -> Next {
        let again = Next::AskAgain { after: ask_again().delay(payment.attempts) };
        tracing::warn!(
            payment.id = %payment.id,
            payment.attempts = payment.attempts,
            error = %error,
            "payment provider gave no outcome"
        );
        match error {
            GatewayError::Unknown { .. } => again,
            GatewayError::Retryable { retry_after } => {
                Next::AskAgain { after: retry_after.max(ASK_AGAIN_FIRST) }
            }
            GatewayError::Rejected { code, .. } if code == UNAUTHORIZED => {
                Next::AskAgain { after: UNAUTHORIZED_PAUSE }
            }
            GatewayError::Rejected { code, message } => {
                let refused = Outcome::Declined { provider_id: None, code, message };
                if payment.attempts <= 1 {
                    return Next::Settle(refused);
                }
                // An earlier call of unknown outcome may have charged: look before giving up.
                match self.gateway.find(payment.id.as_uuid()).await {
                    Ok(Some(outcome)) => Next::Settle(outcome.into()),
                    Ok(None) => Next::Settle(refused),
                    Err(_) => again,
                }
            }
        }
    }
}

/// Removes keys every `interval` until `shutdown`. A fault is logged; the next round tries again.
pub(crate) async fn sweep_keys(
    store: Store,
    interval: Interval,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    worker::every(interval, &shutdown, async || match store.sweep_keys().await {
        Ok(0) => {}
        Ok(swept) => tracing::info!(keys.swept = swept, "expired idempotency keys removed"),
        Err(error) => tracing::warn!(error = %error, "idempotency keys could not be swept"),
    })
    .await;
    Ok(())
}

/// The same request each time: all of it comes from the row.
fn request(payment: &Payment) -> ChargeRequest {
    ChargeRequest {
        payment_id: payment.id.as_uuid(),
        amount_minor: payment.money.minor(),
        currency: payment.money.currency().as_str().to_owned(),
        payment_method: payment.method.as_str().to_owned(),
        customer: None,
    }
}

fn ask_again() -> Backoff {
    Backoff::new(&RetrySettings {
        max_attempts: u32::MAX,
        backoff_multiplier: 2.0,
        max_backoff: ASK_AGAIN_MAX,
        initial_backoff: ASK_AGAIN_FIRST,
        ..Default::default()
    })
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
