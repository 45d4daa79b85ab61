//! A service proves itself with its own secret.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::credentials::{Credentials, CredentialsError};
use chassis::Clock;

use crate::fixture::clock;

const SECRET: &str = "secret-of-payment-service";

fn credentials(clock: &Clock) -> Credentials {
    let secret = |text: &str| text.to_owned().try_into().unwrap();
    let secrets = BTreeMap::from([
        ("payment_service_token".to_owned(), secret(SECRET)),
        ("user_service_token".to_owned(), secret("secret-of-user-service")),
    ]);
    Credentials::new(&secrets, clock.clone())
}

#[test]
fn each_service_has_its_own_secret() {
    let credentials = credentials(&clock());
    assert!(credentials.services().eq(["payment-service", "user-service"]));
    assert_eq!(credentials.check("payment-service", SECRET), Ok(()));
    for (service, secret) in [
        ("user-service", SECRET),
        ("payment-service", ""),
        ("payment-service", "secret-of-payment-servic"),
        ("order-service", SECRET),
        ("", ""),
    ] {
        let outcome = credentials.check(service, secret);
        assert_eq!(outcome, Err(CredentialsError::Wrong), "{service} {secret}");
    }
}

#[test]
fn guessing_is_slowed_down_and_locks_nobody_out() {
    let clock = clock();
    let credentials = credentials(&clock);
    let guess = || credentials.check("payment-service", "a guess of sixteen");
    for _ in 0..10 {
        assert_eq!(guess(), Err(CredentialsError::Wrong));
    }
    let retry_after = Duration::from_secs(1);
    assert_eq!(guess(), Err(CredentialsError::TooMany { retry_after }));
    assert_eq!(credentials.check("payment-service", SECRET), Ok(()));
    clock.advance(retry_after);
    assert_eq!(guess(), Err(CredentialsError::Wrong));
    assert_eq!(guess(), Err(CredentialsError::TooMany { retry_after }));
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?}", credentials(&clock()));
    assert_eq!(shown, r#"Credentials { services: ["payment-service", "user-service"] }"#);
}
