//! Everything the service reads from `config/`: typed, checked at start, all faults at once.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::password::PasswordSettings;
use auth::{SealingSecrets, ServiceSecret};
use chassis::Interval;
use chrono::{DateTime, Utc};
use platform::PlatformSettings;
use rate_limit::BackoffSettings;
use serde::Deserialize;
use tusk_config::ValidationError;

use crate::external_issuer::ExternalIssuerSettings;

/// What the service reads besides [`platform::PlatformSettings`].
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// `auth.tsk`: what each service proves itself with.
    #[serde(rename = "services")]
    pub service_secrets: BTreeMap<String, ServiceSecret>,
    /// `user-service.tsk`: how passwords are hashed.
    pub password: PasswordSettings,
    /// `user-service.tsk`: how long people stay signed in.
    pub sessions: SessionSettings,
    /// `user-service.tsk`: how long what is sent by mail is good.
    pub mail_tokens: MailTokenSettings,
    /// `user-service.tsk`: how the erasure of a deleted user is seen through.
    pub erasure: ErasureSettings,
    /// `user-service.tsk`: what becomes of passwords that are guessed at.
    pub sign_in: BackoffSettings,
    /// `user-service.tsk`: codes of authenticator apps.
    pub second_factor: SecondFactorSettings,
    /// `user-service.tsk`: who signs users in besides their passwords.
    pub external_issuer: ExternalIssuerSettings,
}

impl Settings {
    /// Which of its own sections cannot work.
    pub(crate) fn check(&self, platform: &PlatformSettings) -> Vec<ValidationError> {
        let mut errors = ServiceSecret::check(&self.service_secrets, platform.services.keys());
        // Whoever waits for longer is told so by the request's own time limit, as a fault of ours.
        let wait = self.password.wait;
        let request = platform.server.request_timeout;
        let text = format!("{wait:?} is longer than [server] request_timeout, {request:?}");
        errors.extend(ValidationError::unless(wait <= request, "password.wait", text));
        errors.extend(self.password.check());
        errors.extend(self.sessions.check());
        errors.extend(self.mail_tokens.check());
        errors.extend(self.erasure.check());
        errors.extend(self.sign_in.check("sign_in"));
        errors.extend(self.second_factor.check());
        errors.extend(self.external_issuer.check(platform));
        errors
    }
}

/// Section `[sessions]`.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionSettings {
    /// How long a refresh token is valid after its last use.
    pub refresh_expiration: Duration,
    /// How long after the sign-in the session ends, however often it was used.
    pub max_age: Duration,
    /// How often sessions past their time are removed.
    pub sweep_interval: Interval,
}

impl SessionSettings {
    fn check(&self) -> Vec<ValidationError> {
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 3_650);
        let expiration = ValidationError::outside(
            "sessions.refresh_expiration",
            self.refresh_expiration,
            bounds.clone(),
        );
        let age = ValidationError::outside("sessions.max_age", self.max_age, bounds);
        let interval = self.sweep_interval.check("sessions.sweep_interval");
        [expiration, age, interval].into_iter().flatten().collect()
    }

    /// When a session ends that began at `created_at` and is used `now` for the last time.
    pub(crate) fn expires_at(
        &self,
        created_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        (now + self.refresh_expiration).min(created_at + self.max_age)
    }
}

/// Section `[second_factor]`.
#[derive(Debug, Clone, Deserialize)]
pub struct SecondFactorSettings {
    /// Where the account is, as the app shows it: 1 to 64 characters, and no colon.
    pub issuer: String,
    /// Under which keys the apps' secrets are kept.
    pub keys: SealingSecrets,
    /// How often those that are sealed with a former key are sealed anew.
    pub reseal_interval: Interval,
    /// What becomes of codes that are guessed at.
    pub tries: BackoffSettings,
}

impl SecondFactorSettings {
    fn check(&self) -> Vec<ValidationError> {
        let is_name = (1..=64).contains(&self.issuer.chars().count());
        let is_name = is_name && !self.issuer.contains(|c: char| c == ':' || c.is_control());
        let text = "1 to 64 characters are needed, and no colon";
        let issuer = ValidationError::unless(is_name, "second_factor.issuer", text);
        let interval = self.reseal_interval.check("second_factor.reseal_interval");
        let tries = self.tries.check("second_factor.tries");
        issuer.into_iter().chain(interval).chain(tries).collect()
    }
}

/// Section `[mail_tokens]`.
#[derive(Debug, Clone, Deserialize)]
pub struct MailTokenSettings {
    /// How long an address can be proven by what was sent there.
    pub verification_expiration: Duration,
    /// How long another password can be set by what was sent to the user.
    pub password_reset_expiration: Duration,
}

impl MailTokenSettings {
    fn check(&self) -> Vec<ValidationError> {
        // A minute at least: mail takes a while.
        let bounds = Duration::from_mins(1)..=Duration::from_hours(24 * 30);
        let verification = self.verification_expiration;
        let reset = self.password_reset_expiration;
        let verification = ValidationError::outside(
            "mail_tokens.verification_expiration",
            verification,
            bounds.clone(),
        );
        let reset =
            ValidationError::outside("mail_tokens.password_reset_expiration", reset, bounds);
        [verification, reset].into_iter().flatten().collect()
    }
}

/// Section `[erasure]`.
#[derive(Debug, Clone, Deserialize)]
pub struct ErasureSettings {
    /// How long services may take to confirm that they erased a user; then they are asked again.
    pub confirm_within: Duration,
}

impl ErasureSettings {
    fn check(&self) -> Option<ValidationError> {
        // A week at most: within the month that the law gives, they are asked several times.
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 7);
        ValidationError::outside("erasure.confirm_within", self.confirm_within, bounds)
    }
}
