//! What in `[auth]`, `[keys]`, `[services]` and `[password]` cannot work.

use std::collections::BTreeMap;
use std::time::Duration;

use tusk_config::ValidationError;

use super::{AuthSettings, KeySettings, ServiceSecret};
use crate::credentials;
use crate::keys::{self, KeyError};
use crate::password::PasswordSettings;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

impl AuthSettings {
    /// What cannot work: tokens that are never valid, or as good as for ever.
    pub fn check(&self) -> Vec<ValidationError> {
        let times = [
            ("auth.jwt_expiration", self.jwt_expiration),
            ("auth.service_token_expiration", self.service_token_expiration),
        ];
        let outside = |(path, time)| ValidationError::outside(path, time, SECOND..=365 * DAY);
        times.into_iter().filter_map(outside).collect()
    }
}

impl KeySettings {
    /// What cannot work. A service that `signs` has keys of its own, and so has every service where the
    /// algorithm is a shared one: their files are read.
    pub fn check(&self, signs: bool) -> Vec<ValidationError> {
        let rotation = self.rotation();
        let interval = rotation.refresh_interval.get();
        let mut errors: Vec<ValidationError> = [
            ValidationError::outside("keys.refresh_interval", interval, Duration::from_millis(1)..=DAY),
            ValidationError::outside(
                "keys.activation_delay",
                rotation.activation_delay,
                Duration::ZERO..=30 * DAY,
            ),
            ValidationError::unless(
                rotation.max_staleness > interval || interval > DAY,
                "keys.max_staleness",
                "it must be longer than refresh_interval, or no key is believed until the next reading",
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        if signs || self.algorithm().is_shared() {
            let unusable = keys::check(self).err().map(|error| {
                let key = if matches!(error, KeyError::ActivationTooEarly) {
                    "activation_delay"
                } else {
                    "folder"
                };
                ValidationError::at(format!("keys.{key}"), error.to_string())
            });
            errors.extend(unusable);
        }
        errors
    }
}

impl PasswordSettings {
    /// What cannot work: nothing hashed at a time, or more than the memory of a machine.
    pub fn check(&self) -> Vec<ValidationError> {
        let wait = Duration::from_millis(1)..=Duration::from_mins(10);
        let all = [
            ValidationError::outside("password.concurrency", self.concurrency, 1..=64),
            ValidationError::outside("password.queue", self.queue, 0..=65_535),
            ValidationError::outside("password.wait", self.wait, wait),
        ];
        all.into_iter().flatten().collect()
    }
}

impl ServiceSecret {
    /// The keys of `[services]` that are the secret of no service.
    pub fn check<'n>(
        secrets: &BTreeMap<String, Self>,
        services: impl IntoIterator<Item = &'n String>,
    ) -> Vec<ValidationError> {
        let services: Vec<&String> = services.into_iter().collect();
        let unknown = secrets.keys().filter(|key| {
            let is_form = key.ends_with("_token");
            !is_form || !services.contains(&&credentials::service(key))
        });
        let error = |key: &String| {
            let text = format!(
                "{key} is the secret of no service: services.tsk has no [service:{}]",
                credentials::service(key)
            );
            ValidationError::at(format!("services.{key}"), text).secret()
        };
        unknown.map(error).collect()
    }
}

#[cfg(test)]
mod tests {
    use tusk_config::{Loader, Vars};

    use super::*;

    const SECRET: &str = "test-only-secret-of-at-least-32-bytes";

    #[derive(serde::Deserialize)]
    struct Settings {
        auth: AuthSettings,
        keys: KeySettings,
        services: BTreeMap<String, ServiceSecret>,
        password: PasswordSettings,
    }

    /// The keys at which user-service finds a fault when these have these values in the shipped files.
    fn faulty_keys(changes: &[(&str, &str)]) -> Vec<String> {
        let vars = [
            ("JWT_SECRET", SECRET),
            ("USER_SERVICE_TOKEN", SECRET),
            ("PAYMENT_SERVICE_TOKEN", SECRET),
            ("NOTIFICATION_SERVICE_TOKEN", SECRET),
            ("SECOND_FACTOR_KEYS", SECRET),
        ];
        let loader = Loader::new("")
            .text("auth.tsk", include_str!("../../../../config/auth.tsk"))
            .text("user-service.tsk", include_str!("../../../../config/user-service.tsk"))
            .vars(Vars::of(vars));
        let set = |loader: Loader, (path, value): &(&str, &str)| loader.set(path, value);
        let settings: Settings = changes.iter().fold(loader, set).load().unwrap();
        let names = ["user-service", "payment-service", "notification-service"];
        let names = names.map(str::to_owned);
        let parts = [
            settings.auth.check(),
            settings.keys.check(true),
            settings.password.check(),
            ServiceSecret::check(&settings.services, &names),
        ];
        parts.iter().flatten().map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn a_value_that_cannot_work_is_a_fault_at_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let empty = format!("\"{}\"", folder.path().display());
        for (path, value) in [
            ("auth.jwt_expiration", "\"0s\""),
            ("auth.jwt_expiration", "\"366d\""),
            ("auth.service_token_expiration", "\"0s\""),
            ("keys.refresh_interval", "\"25h\""),
            ("keys.activation_delay", "\"31d\""),
            ("keys.max_staleness", "\"30s\""),
            ("keys.folder", "/nowhere/keys"),
            ("password.concurrency", "0"),
            ("password.concurrency", "65"),
            ("password.queue", "65536"),
            ("password.wait", "\"0s\""),
            ("services.payment_servce_token", SECRET),
            ("services.payment_service", SECRET),
        ] {
            assert_eq!(faulty_keys(&[(path, value)]), [path], "{path}: {value}");
        }
        let no_key = [("keys.algorithm", "EdDSA"), ("keys.folder", empty.as_str())];
        assert_eq!(faulty_keys(&no_key), ["keys.folder"]);
        let rash = [("keys.folder", empty.as_str()), ("keys.activation_delay", "\"30s\"")];
        assert_eq!(faulty_keys(&rash), ["keys.activation_delay"]);
    }

    #[test]
    fn the_shipped_values_have_no_fault() {
        assert!(faulty_keys(&[]).is_empty());
    }

    #[test]
    fn a_service_that_only_verifies_needs_no_key_of_its_own() {
        let text = include_str!("../../../../config/auth.tsk");
        let loader = Loader::new("").text("auth.tsk", text).vars(Vars::empty());
        let config = loader.set("keys.algorithm", "EdDSA").tree().unwrap();
        let keys: KeySettings = config.get("keys").unwrap();
        assert!(keys.check(false).is_empty());
        assert_eq!(keys.check(true).len(), 1);
    }
}
