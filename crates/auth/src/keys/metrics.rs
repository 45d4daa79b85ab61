//! How old keys are: the table at the module's head.

use chrono::{DateTime, Utc};
use telemetry::metrics::{at_scrape, gauge};

use super::KeyRing;

/// Shows when the key that signs was made; which one that is changes by time alone.
pub(super) fn show(ring: KeyRing) {
    at_scrape(move || {
        if let Some(made) = ring.signer_made() {
            let help = "When the key that signs was made, in Unix time.";
            set("auth_signing_key_timestamp_seconds", help, made);
        }
    });
}

/// Shows that all keys were read.
pub(super) fn read(at: DateTime<Utc>) {
    set("auth_keys_read_timestamp_seconds", "When all keys were last read, in Unix time.", at);
}

fn set(name: &str, help: &str, at: DateTime<Utc>) {
    gauge(name, help, &[]).with_label_values::<&str>(&[]).set(at.timestamp());
}
