//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::ServiceSecret;
use chassis::Interval;
use chassis::worker::WorkerSettings;
use serde::Deserialize;
use tusk_config::{Unread, ValidationError};

use crate::gateway::{GatewaySettings, KEY_LIFETIME, SEARCH_LAG_MAX};

/// What the service reads besides [`platform::PlatformSettings`].
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `auth.tsk`: what this service proves itself with.
    #[serde(rename = "services")]
    pub service_secret: OwnSecret,
    /// `payment-service.tsk`: the payment provider.
    pub gateway: GatewaySettings,
    /// `payment-service.tsk`: how payments are taken to the provider.
    pub worker: WorkerSettings,
    /// `payment-service.tsk`: how long a payment of unknown outcome is charged and looked up.
    pub settlement: SettlementSettings,
    /// `payment-service.tsk`: how long answers are kept.
    pub idempotency: IdempotencySettings,
}

/// The longest time of a setting: ten years.
const TIME_MAX: Duration = Duration::from_hours(24 * 3_650);

impl Settings {
    /// Which of its own sections cannot work.
    pub(crate) fn check(&self) -> Vec<ValidationError> {
        // A lease that ends while the provider is asked has another worker ask it too.
        let why = "the calls of one step, each within [gateway] timeout, may take";
        let parts = [
            self.gateway.check(),
            self.worker.check(self.gateway.step_max(), why),
            self.settlement.check(),
            self.idempotency.check(),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// Section `[idempotency]`.
#[derive(Debug, Clone, Deserialize)]
pub struct IdempotencySettings {
    /// How long a key and its answer are kept once the payment is settled; before, they are kept.
    pub expiration: Duration,
    /// How often keys past their time are removed.
    pub sweep_interval: Interval,
}

impl IdempotencySettings {
    fn check(&self) -> Vec<ValidationError> {
        let bounds = Duration::from_secs(1)..=TIME_MAX;
        let expiration =
            ValidationError::outside("idempotency.expiration", self.expiration, bounds);
        let interval = self.sweep_interval.check("idempotency.sweep_interval");
        [expiration, interval].into_iter().flatten().collect()
    }
}

/// Section `[settlement]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawSettlement")]
pub struct SettlementSettings {
    /// How long after it was made a payment may be charged: above 0, up to 12 h.
    pub charge_within: Duration,
    /// How long a charge is looked for after that, at least [`SEARCH_LAG_MAX`].
    pub look_up_for: Duration,
}

/// Half of the time for which the provider remembers a key. What is left is for the answer of the
/// last call, clocks that differ, and for retiring the key while it is remembered.
const CHARGE_WITHIN_MAX: Duration = Duration::from_secs(KEY_LIFETIME.as_secs() / 2);

#[derive(Deserialize)]
struct RawSettlement {
    charge_within: Duration,
    look_up_for: Duration,
}

impl TryFrom<RawSettlement> for SettlementSettings {
    type Error = &'static str;

    fn try_from(raw: RawSettlement) -> Result<Self, Self::Error> {
        let RawSettlement { charge_within, look_up_for } = raw;
        if charge_within.is_zero() || charge_within > CHARGE_WITHIN_MAX {
            return Err("charge_within must be above 0 and no more than 12h, half of the time \
                        for which the provider remembers a key");
        }
        if look_up_for < SEARCH_LAG_MAX {
            return Err(
                "look_up_for must be 1h or more: so far may the provider's search be behind",
            );
        }
        Ok(Self { charge_within, look_up_for })
    }
}

impl SettlementSettings {
    fn check(&self) -> Vec<ValidationError> {
        let bounds = Duration::ZERO..=TIME_MAX;
        Vec::from_iter(ValidationError::outside("settlement.look_up_for", self.look_up_for, bounds))
    }
}

/// Section `[services]`, of which a service reads its own part only.
#[derive(Debug, Clone, Deserialize)]
pub struct OwnSecret {
    /// What this service proves itself with when it asks user-service for a token.
    pub payment_service_token: ServiceSecret,
    /// Not ours to know.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "the values are what is not read")]
    pub of_others: BTreeMap<String, Unread>,
}
