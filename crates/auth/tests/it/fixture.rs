//! Settings, clocks and key files that tests begin with.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use auth::{AuthSettings, KeyRing, KeySettings, Tokens};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::Clock;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// After which a key signs.
pub(crate) const DELAY: Duration = Duration::from_secs(300);

/// The time at which tests begin.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(crate) fn clock() -> Clock {
    Clock::manual(start())
}

pub(crate) fn auth() -> AuthSettings {
    AuthSettings {
        jwt_secret: tusk_config::Unread,
        jwt_expiration: Duration::from_secs(3600),
        service_token_expiration: Duration::from_secs(86_400),
    }
}

/// `[keys]` with this algorithm, secret and folder.
pub(crate) fn keys(algorithm: &str, secret: &str, folder: Option<&Path>) -> KeySettings {
    let secret = (algorithm == "HS256").then_some(secret);
    serde_json::from_value(json!({
        "algorithm": algorithm,
        "secret": secret,
        "folder": folder.unwrap_or(Path::new("")),
        "refresh_interval": {"secs": 30, "nanos": 0},
        "activation_delay": {"secs": DELAY.as_secs(), "nanos": 0},
    }))
    .unwrap()
}

/// Tokens of a service that has `SECRET` alone.
pub(crate) fn tokens(service: &'static str, clock: &Clock) -> Tokens {
    let ring = KeyRing::open(&keys("HS256", SECRET, None), clock.clone()).unwrap();
    Tokens::new(&auth(), ring, service, clock.clone())
}

/// A folder of key files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file that was written this long before the tests begin.
    pub(crate) fn put(&self, name: &str, text: &str, age: Duration) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        let written = SystemTime::from(start()) - age;
        File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).unwrap();
    }

    pub(crate) fn settings(&self, algorithm: &str) -> KeySettings {
        keys(algorithm, SECRET, Some(self.0.path()))
    }

    pub(crate) fn ring(&self, algorithm: &str, clock: &Clock) -> KeyRing {
        KeyRing::open(&self.settings(algorithm), clock.clone()).unwrap()
    }
}

pub(crate) fn ed25519() -> String {
    pem("PRIVATE KEY", Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
}

pub(crate) fn rsa(size: KeySize) -> String {
    let pair = rsa::KeyPair::generate(size).unwrap();
    pem("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref())
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The `kid` in a token's header.
pub(crate) fn kid(token: &str) -> String {
    decoded(token.split('.').next().unwrap())["kid"].as_str().unwrap().to_owned()
}
