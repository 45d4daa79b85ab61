//! The payment provider, as the rest of this service sees it.
//!
//! A trait, because the provider is outside of the process and will differ: [`StripeGateway`]
//! speaks Stripe's wire format, to Stripe or to the simulator of `testkit`, and nothing here shows
//! it.
//!
//! What matters about charging is what an error means. A call that was lost half-way may have taken
//! the money: its outcome is *unknown*, which is neither success nor failure, and the only way on
//! is to ask again under the same key. So each error says what is known about the charge:
//!
//! | result | the money | the caller |
//! |---|---|---|
//! | [`ChargeOutcome::Succeeded`] | taken, once | settles the payment |
//! | [`ChargeOutcome::Declined`] | not taken | settles it with the decline |
//! | [`GatewayError::Unknown`] | nobody knows | asks again; never gives up on a payment by itself |
//! | [`GatewayError::Retryable`] | not taken by this call | asks again after a delay |
//! | [`GatewayError::Rejected`] | not taken by this call | stops: it will be refused again |
//! | [`GatewayError::KeyReused`] | nobody knows | looks the payment up; asks no more |
//!
//! An error speaks of its own call. Whether an *earlier* call of the same payment took the money,
//! no refusal of a later one can tell. When no more is to be charged,
//! [`retire_key`](PaymentGateway::retire_key) sees to it that nothing can be from then on, and
//! [`find`](PaymentGateway::find) tells what was before.

mod amount;
mod settings;
mod stripe;
mod wire;

use std::pin::Pin;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::Money;

pub use self::settings::{GatewaySettings, GatewaySettingsError};
pub use self::stripe::StripeGateway;

/// How long the provider remembers a key (<https://docs.stripe.com/api/idempotent_requests>).
/// Asking again under it later than this would be a new charge.
pub const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the provider's search may be behind, at most. "Under normal operating conditions, data
/// is searchable in less than a minute. Occasionally, propagation of new or updated data can be up
/// to an hour behind during outages" (<https://docs.stripe.com/api/payment_intents/search>).
pub const SEARCH_LAG_MAX: Duration = Duration::from_secs(60 * 60);

/// What a gateway call gives; boxed, so that `Arc<dyn PaymentGateway>` works.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, GatewayError>> + Send + 'a>>;

/// Takes money. Calls are bounded in time by the settings, and safe to repeat.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Charges a payment, at most once however often it is called with the same `payment_id` within
    /// [`KEY_LIFETIME`]: the provider's key is derived from it. All fields must be the same each
    /// time.
    fn charge(&self, request: ChargeRequest) -> Answer<'_, ChargeOutcome>;

    /// Looks a payment up at the provider, without changing anything. `None` means that the
    /// provider shows no charge that is older than [`SEARCH_LAG_MAX`]: there may be a younger one.
    /// A charge of another amount than was asked for is [`GatewayError::Unknown`]: somebody has to
    /// look.
    fn find(&self, request: ChargeRequest) -> Answer<'_, Option<ChargeOutcome>>;

    /// Uses up the payment's key for a call that charges nothing. A call of
    /// [`charge`](Self::charge) that begins after this one was answered charges nothing, whoever
    /// makes it, as long as the provider remembers the key. Safe to repeat.
    fn retire_key(&self, request: ChargeRequest) -> Answer<'_, RetiredKey>;
}

/// What the provider knew of a key that was retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetiredKey {
    /// No charge has begun under it within [`KEY_LIFETIME`].
    Unused,
    /// One has, and may have taken the money.
    Used,
}

/// What to charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Our payment; names the charge at the provider.
    pub payment_id: Uuid,
    /// How much.
    pub money: Money,
    /// The provider's name for the payment method, such as `pm_card_visa`; never a card number.
    pub payment_method: String,
    /// The provider's name for the customer, if the payment method belongs to one.
    pub customer: Option<String>,
}

/// How a charge ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money was taken.
    Succeeded {
        /// The provider's name for the payment.
        provider_id: String,
    },
    /// The card or its issuer said no.
    Declined {
        /// The provider's name for the payment, when it made one.
        provider_id: Option<String>,
        /// What kind of no: `card_declined`, `expired_card`, `authentication_required`, …
        code: String,
        /// The issuer's reason, where it gave one: `insufficient_funds`, `lost_card`, …
        decline_code: Option<String>,
        /// For the payer to read.
        message: String,
    },
}

/// Why a charge has not ended. None of these carries a key, an address or personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// The call was lost, timed out, met an error of the provider's, or another one with the same
    /// key is still running.
    #[error(
        "the outcome at the payment provider is unknown ({reason}); ask again under the same key"
    )]
    Unknown {
        /// What happened, in fixed words.
        reason: &'static str,
    },
    /// The provider, or this gateway itself, takes no more calls for now.
    #[error("the payment provider is busy; ask again in {} s", retry_after.as_secs())]
    Retryable {
        /// When to ask again, at least.
        retry_after: Duration,
    },
    /// The provider knows the key from a call with other parameters, such as one of an earlier
    /// version of this service: what came of that one is not known.
    #[error("the payment provider knows the key from another call; look the payment up")]
    KeyReused,
    /// The call itself is wrong: a field of the request, or the settings.
    #[error("the payment provider refused the call ({code}): {message}")]
    Rejected {
        /// The provider's code, such as `resource_missing`, or [`UNAUTHORIZED`], or
        /// `http_<status>`.
        code: String,
        /// The provider's words, cut to a bounded length.
        message: String,
    },
}

/// The code of [`GatewayError::Rejected`] when the provider does not take our key: an operator has
/// to mend the settings, and the payment is not to blame.
pub const UNAUTHORIZED: &str = "unauthorized";
