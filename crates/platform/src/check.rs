//! What of the settings would end a start, or could not work: each with its place.

use auth::policy;
use tusk_config::ValidationError;

use crate::builder::openapi;
use crate::platform::called;
use crate::{ISSUER, Platform, PlatformSettings, Service, Settings};

/// Everything that does not fit, with its place where one is known. Opens nothing.
pub(crate) fn validate<S: Service>(settings: &Settings<S::Settings>) -> Vec<ValidationError> {
    let Settings { platform, own } = settings;
    let mut errors = of_sections::<S>(platform);
    errors.extend(S::check(own, platform));
    let built = Platform::unopened::<S>(platform).and_then(|platform| S::build(platform, own));
    match built {
        Ok(built) => errors.extend(built.validate()),
        // What nobody gave a place is told all the same.
        Err(error) if errors.is_empty() => errors.push(ValidationError::at("", error.to_string())),
        Err(_) => {}
    }
    errors
}

fn of_sections<S: Service>(settings: &PlatformSettings) -> Vec<ValidationError> {
    let PlatformSettings { services, policy, telemetry, .. } = settings;
    let named = [&[S::NAME], &*called::<S>(settings)].concat();
    let messaging = &settings.messaging;
    let exchanges = S::EXCHANGES.iter().copied();
    let api = openapi::<S>(policy);
    let parts = [
        telemetry.check(),
        plaintext(settings),
        settings.service_discovery.check(services, &named),
        settings.calls.check(),
        settings.service_tls.check(services),
        settings.load_balancing.check(),
        settings.database.check(),
        messaging.rabbitmq.check(&telemetry.tracing.environment),
        messaging.check(S::QUEUE, exchanges, settings.database.background_pool_size),
        settings.cache.check(),
        settings.auth.check(),
        settings.audit.check(),
        settings.keys.check(S::NAME == ISSUER),
        settings.server.check(),
        settings.management.check(&settings.server),
        settings.cors.check(),
        policy::check(S::NAME, policy, &api, services.keys()),
        settings
            .rate_limit
            .check(&api, S::COUNTS_ACCOUNTS, |route| policy::is_open(policy, S::NAME, route)),
    ];
    parts.into_iter().flatten().collect()
}

/// Servers on other machines that are spoken to without TLS where the settings ask for it. A fault, and no
/// warning, because a warning at a start is read by nobody, and the first packet has the password.
fn plaintext(settings: &PlatformSettings) -> Vec<ValidationError> {
    let PlatformSettings { database, messaging, cache, telemetry, .. } = settings;
    if !settings.requires_tls() {
        return Vec::new();
    }
    let all = [
        database.plaintext(),
        messaging.rabbitmq.plaintext(),
        cache.plaintext(),
        telemetry.tracing.plaintext(),
    ];
    all.into_iter().flatten().collect()
}
