//! Any text as a bearer token: refused, never a panic.
#![no_main]

use std::sync::LazyLock;

use auth::{AuthSettings, KeyRing, KeySettings, Tokens};
use chassis::Clock;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use tusk_config::{Loader, Vars};

#[derive(Deserialize)]
struct Settings {
    auth: AuthSettings,
    keys: KeySettings,
}

const SETTINGS: &str = r#"
[auth]
jwt_secret: "0123456789abcdef0123456789abcdef"
jwt_expiration: "3600"
service_token_expiration: "86400"
[keys]
algorithm: HS256
secret: @auth.jwt_secret
folder: ""
refresh_interval: "30s"
activation_delay: "5m"
"#;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let loader = Loader::new("config").text("auth.tsk", SETTINGS).vars(Vars::empty());
    let settings: Settings = loader.load().expect("the settings are valid");
    let keys = KeyRing::open(&settings.keys, Clock::system()).expect("there is a key");
    Tokens::new(&settings.auth, keys, "user-service", Clock::system())
});

fuzz_target!(|token: &str| {
    assert!(TOKENS.verify(token).is_err());
});
