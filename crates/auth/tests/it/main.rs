//! Tokens: what is accepted, and everything that is not.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use auth::{AuthSettings, Role, TokenError, Tokens};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Clock;
use chrono::{DateTime, Utc};
use uuid::Uuid;

fn settings(secret: &str) -> AuthSettings {
    AuthSettings {
        jwt_secret: secret.to_owned().try_into().unwrap(),
        jwt_expiration: Duration::from_secs(3600),
        service_token_expiration: Duration::from_secs(86_400),
    }
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn clock() -> Clock {
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    Clock::manual(start)
}

fn tokens(service: &'static str, clock: &Clock) -> Tokens {
    Tokens::new(&settings(SECRET), service, clock.clone())
}

#[test]
fn a_users_token_is_accepted_by_every_service() {
    let clock = clock();
    let (id, session) = (clock.new_id(), clock.new_id());
    let token = tokens("user-service", &clock).for_user(id, Role::User, session).unwrap();
    let user = tokens("payment-service", &clock).verify_user(token.value.expose()).unwrap();
    assert_eq!((user.id, user.role, user.session), (id, Role::User, session));
}

#[test]
fn a_service_token_is_accepted_by_its_target_only() {
    let clock = clock();
    let token = tokens("payment-service", &clock).for_service("user-service").unwrap();
    let accepted = tokens("user-service", &clock).verify_service(token.value.expose()).unwrap();
    assert_eq!(accepted.name, "payment-service");
    let elsewhere = tokens("notification-service", &clock).verify_service(token.value.expose());
    assert_eq!(elsewhere, Err(TokenError::Audience));
}

#[test]
fn a_users_token_is_no_service_token_and_the_other_way_round() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let user = tokens.for_user(clock.new_id(), Role::Admin, clock.new_id()).unwrap();
    assert_eq!(tokens.verify_service(user.value.expose()), Err(TokenError::Audience));
    let service = tokens.for_service("user-service").unwrap();
    assert_eq!(tokens.verify_user(service.value.expose()), Err(TokenError::Audience));
}

#[test]
fn a_token_expires_after_its_time_and_a_small_leeway() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let token = tokens.for_user(clock.new_id(), Role::User, clock.new_id()).unwrap();
    clock.advance(Duration::from_secs(3600 + 30));
    assert!(tokens.verify_user(token.value.expose()).is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(tokens.verify_user(token.value.expose()), Err(TokenError::Expired));
}

#[test]
fn forged_stripped_and_oversized_tokens_are_refused() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let token = tokens.for_user(clock.new_id(), Role::User, clock.new_id()).unwrap();
    let token = token.value.expose().clone();
    let claims = token.split('.').nth(1).unwrap();
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);

    let other_key = Tokens::new(&settings(&"x".repeat(32)), "user-service", clock.clone());
    let foreign = other_key.for_user(clock.new_id(), Role::Admin, clock.new_id()).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let promoted = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let promoted = encode(&promoted.replace("\"user\"", "\"admin\""));
    for forged in [
        foreign.value.expose().clone(),
        format!("{}.{claims}.", encode(r#"{"alg":"none","typ":"JWT"}"#)),
        format!("{}.{claims}.{signature}", encode(r#"{"alg":"RS256","typ":"JWT"}"#)),
        format!("{}.{promoted}.{signature}", token.split('.').next().unwrap()),
        format!("{token}{}", "A".repeat(5000)),
        "not.a.token".to_owned(),
        String::new(),
    ] {
        assert_eq!(tokens.verify_user(&forged), Err(TokenError::Invalid), "{forged}");
    }
}

#[test]
fn a_short_key_is_refused_without_showing_it() {
    let error = auth::JwtSecret::try_from("hunter2".to_owned()).unwrap_err();
    assert_eq!(error, "a key of 32 bytes or more is needed, this has 7");
}

#[test]
fn debug_output_shows_neither_key_nor_token() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let token = tokens.for_user(Uuid::nil(), Role::User, Uuid::nil()).unwrap();
    let shown = format!("{tokens:?} {token:?} {:?}", settings(SECRET));
    assert!(!shown.contains(SECRET) && !shown.contains(token.value.expose().as_str()), "{shown}");
}
