//! Tokens: what is accepted, and everything that is not.

use std::time::Duration;

use auth::{Caller, CallerService, KeyRing, Role, TokenError, Tokens, User};
use aws_lc_rs::rsa::KeySize;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{
    Folder, SECRET, auth, base64url, clock, decoded, ed25519, keys, rsa, start, tokens,
};

/// A token with this header and these claims, signed with `SECRET`.
pub(crate) fn forged(header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub(crate) fn header() -> Header {
    Header { kid: Some("0".to_owned()), ..Header::new(Algorithm::HS256) }
}

/// The claims of a user's token that is fine.
pub(crate) fn claims() -> Value {
    let now = start().timestamp();
    json!({
        "iss": "tusk-microservices", "aud": "tusk-api", "sub": Uuid::nil(), "role": "user",
        "sid": Uuid::nil(), "iat": now, "exp": now + 60,
    })
}

pub(crate) fn changed(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

#[test]
fn a_users_token_is_accepted_by_every_service() {
    let clock = clock();
    let id = clock.new_id();
    let session = clock.new_id();
    let token = tokens("user-service", &clock).for_user(id, Role::User, session).unwrap();
    let caller = tokens("payment-service", &clock).verify(token.value.expose());
    assert_eq!(caller, Ok(Caller::User(User { id, role: Role::User, session })));
}

#[test]
fn a_token_is_refused_from_the_end_of_its_session_on_though_it_was_verified_before() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let session = clock.new_id();
    let other = clock.new_id();
    let of = |session| tokens.for_user(Uuid::nil(), Role::Admin, session).unwrap();
    let [token, other] = [session, other].map(of);
    assert!(tokens.verify(token.value.expose()).is_ok());

    let now = clock.now();
    tokens.ended_sessions().end(session, now + tokens.outlives_session(), now);

    // A clone refuses it as well: they share what they know.
    assert_eq!(tokens.clone().verify(token.value.expose()), Err(TokenError::Ended));
    assert!(tokens.verify(other.value.expose()).is_ok());
    clock.advance(tokens.outlives_session());
    tokens.ended_sessions().forget(clock.now());
    clock.advance(Duration::from_secs(1));
    assert_eq!(tokens.verify(token.value.expose()), Err(TokenError::Expired));
}

#[test]
fn a_users_token_ends_with_its_session() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let user = User { id: Uuid::nil(), role: Role::User, session: Uuid::nil() };
    for (left, lifetime) in [(7_200, 3_600), (600, 600), (0, 0), (-5, 0)] {
        let end = clock.now() + chrono::TimeDelta::seconds(left);
        let token = tokens.for_session(user, None, end).unwrap();
        assert_eq!(token.lifetime, Duration::from_secs(lifetime), "{left}");
        assert_eq!((token.expires_at - clock.now()).num_seconds(), lifetime.cast_signed());
    }
}

#[test]
fn a_service_token_is_accepted_by_its_target_only() {
    let clock = clock();
    let token = tokens("payment-service", &clock).for_service("user-service").unwrap();
    let caller = tokens("user-service", &clock).verify(token.value.expose());
    let name = "payment-service".to_owned();
    assert_eq!(caller, Ok(Caller::Service(CallerService { name })));
    let elsewhere = tokens("notification-service", &clock).verify(token.value.expose());
    assert_eq!(elsewhere, Err(TokenError::Audience));
}

#[test]
fn a_users_token_is_no_service_token_and_the_other_way_round() {
    let user_service = tokens("user-service", &clock());
    // A user's claims for a service's audience, a service's for the users', and both at once.
    let mut both = claims();
    both["service"] = "payment-service".into();
    let service = |audience: &str| {
        let mut claims = claims();
        for name in ["sub", "role", "sid"] {
            claims.as_object_mut().unwrap().remove(name);
        }
        claims["service"] = "payment-service".into();
        claims["aud"] = audience.into();
        claims
    };
    for mixed in [changed("aud", "user-service"), service("tusk-api"), both] {
        let token = forged(&header(), &mixed);
        assert_eq!(user_service.verify(&token), Err(TokenError::Invalid), "{mixed}");
    }
    let caller = user_service.verify(&forged(&header(), &service("user-service"))).unwrap();
    assert!(matches!(caller, Caller::Service(_)));
    assert!(matches!(user_service.verify(&forged(&header(), &claims())), Ok(Caller::User(_))));
}

#[test]
fn a_token_expires_after_its_time_and_a_small_leeway() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let token = tokens.for_user(clock.new_id(), Role::User, clock.new_id()).unwrap();
    clock.advance(Duration::from_secs(3600 + 30));
    assert!(tokens.verify(token.value.expose()).is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(tokens.verify(token.value.expose()), Err(TokenError::Expired));
}

#[test]
fn a_token_from_the_future_is_refused_beyond_the_leeway_of_clocks() {
    let tokens = tokens("user-service", &clock());
    let at = |seconds: i64| start().timestamp() + seconds;
    for name in ["iat", "nbf"] {
        let soon = forged(&header(), &changed(name, at(30)));
        assert!(tokens.verify(&soon).is_ok(), "{name}");
        let early = forged(&header(), &changed(name, at(31)));
        assert_eq!(tokens.verify(&early), Err(TokenError::Early), "{name}");
    }
}

#[test]
fn wrong_audiences_issuers_and_claims_are_refused() {
    let tokens = tokens("user-service", &clock());
    let refused = |claims: &Value| tokens.verify(&forged(&header(), claims)).unwrap_err();
    assert_eq!(refused(&changed("aud", "payment-service")), TokenError::Audience);
    for (name, value) in [
        ("aud", json!(["tusk-api", "payment-service"])),
        ("iss", json!("somebody-else")),
        ("iss", json!(["tusk-microservices"])),
        ("sub", json!("7")),
        ("role", json!("root")),
        ("exp", json!("later")),
        ("exp", Value::Null),
        ("iat", Value::Null),
        ("sid", Value::Null),
    ] {
        assert_eq!(refused(&changed(name, value.clone())), TokenError::Invalid, "{name} {value}");
    }
}

#[test]
fn forged_stripped_and_oversized_tokens_are_refused() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let token = tokens.for_user(clock.new_id(), Role::User, clock.new_id()).unwrap();
    let token = token.value.expose().clone();
    let parts: Vec<&str> = token.split('.').collect();
    let head = parts[0];
    let body = parts[1];
    let signature = parts[2];

    let ring = KeyRing::open(&keys("HS256", &"x".repeat(32), None), clock.clone()).unwrap();
    let foreign = Tokens::new(&auth(), ring, "user-service", clock.clone());
    let foreign = foreign.for_user(clock.new_id(), Role::Admin, clock.new_id()).unwrap();
    let mut promoted = decoded(body);
    promoted["role"] = "admin".into();
    let with = |header: &str| format!("{}.{body}.{signature}", base64url(header));
    for forged in [
        foreign.value.expose().clone(),
        format!("{}.{body}.", base64url(r#"{"alg":"none","typ":"JWT","kid":"0"}"#)),
        with(r#"{"alg":"none","typ":"JWT","kid":"0"}"#),
        with(r#"{"alg":"nOnE","typ":"JWT","kid":"0"}"#),
        with(r#"{"alg":"RS256","typ":"JWT","kid":"0"}"#),
        with(r#"{"alg":"EdDSA","typ":"JWT","kid":"0"}"#),
        with(r#"{"alg":"HS384","typ":"JWT","kid":"0"}"#),
        with(r#"{"alg":"HS256","alg":"HS256","typ":"JWT","kid":"0"}"#),
        with(r#"{"alg":"HS256","typ":"JWT","kid":"0","kid":"0"}"#),
        format!("{head}.{}.{signature}", base64url(promoted.to_string())),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{token}.{signature}"),
        format!("{token}{}", "A".repeat(5000)),
        format!(" {token}"),
        "not.a.token".to_owned(),
        "..".to_owned(),
        String::new(),
    ] {
        assert_eq!(tokens.verify(&forged), Err(TokenError::Invalid), "{forged}");
    }
    // The same ones properly signed: what they say is refused, not only their signature.
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..header() };
    assert_eq!(tokens.verify(&forged(&critical, &claims())), Err(TokenError::Invalid));
    let twice = claims().to_string().replacen('{', r#"{"role":"admin","#, 1);
    let signed = twice_signed(&twice);
    assert_eq!(tokens.verify(&signed), Err(TokenError::Invalid));
}

/// Claims as they stand, signed with `SECRET`: JSON values cannot hold a key twice.
pub(crate) fn twice_signed(claims: &str) -> String {
    let header = base64url(serde_json::to_string(&header()).unwrap());
    let message = format!("{header}.{}", base64url(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{message}.{}", base64url(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
}

#[test]
fn a_token_that_names_no_key_an_unknown_one_or_a_path_is_refused() {
    let tokens = tokens("user-service", &clock());
    let named = |kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..header() };
        tokens.verify(&forged(&header, &claims())).map(|_| ()).unwrap_err()
    };
    assert_eq!(named(None), TokenError::Invalid);
    for unknown in ["1", "2026-11", "00"] {
        assert_eq!(named(Some(unknown)), TokenError::UnknownKey);
    }
    let long = "a".repeat(65);
    for path in
        ["", ".", "..", "../0", "/etc/passwd", "a/../0", "0\0", "0 ", "%2e%2e", "ключ", &long]
    {
        assert_eq!(named(Some(path)), TokenError::Invalid, "{path:?}");
    }
}

/// The classic: the public key, which everybody has, taken as the secret of an HS256 token.
#[test]
fn a_public_key_is_no_secret_and_each_algorithm_refuses_the_others_tokens() {
    let clock = clock();
    let ring = |algorithm: &str, pem: &str| {
        let folder = Folder::new();
        folder.put("k.pem", pem, Duration::from_secs(600));
        folder.ring(algorithm, &clock)
    };
    let tokens = |ring: &KeyRing| Tokens::new(&auth(), ring.clone(), "user-service", clock.clone());
    let ed = ring("EdDSA", &ed25519());
    let rsa = ring("RS256", &rsa(KeySize::Rsa2048));
    let user = |ring: &KeyRing| {
        let token = tokens(ring).for_user(Uuid::nil(), Role::Admin, Uuid::nil()).unwrap();
        token.value.expose().clone()
    };
    for (ring, others) in [(&ed, user(&rsa)), (&rsa, user(&ed))] {
        assert!(tokens(ring).verify(&user(ring)).is_ok());
        assert_eq!(tokens(ring).verify(&others), Err(TokenError::Invalid));
        let jwk = serde_json::to_value(&ring.jwks().keys[0]).unwrap();
        let public = jwk.get("x").or(jwk.get("n")).unwrap().as_str().unwrap().to_owned();
        let raw =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &public);
        for secret in [raw.unwrap(), public.into_bytes(), serde_json::to_vec(&jwk).unwrap()] {
            let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
            let key = EncodingKey::from_secret(&secret);
            let confused = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
            assert_eq!(tokens(ring).verify(&confused), Err(TokenError::Invalid));
        }
    }
}

#[test]
fn debug_output_shows_neither_key_nor_token() {
    let clock = clock();
    let tokens = tokens("user-service", &clock);
    let token = tokens.for_user(Uuid::nil(), Role::User, Uuid::nil()).unwrap();
    let shown = format!("{tokens:?} {token:?} {:?}", keys("HS256", SECRET, None));
    assert!(!shown.contains(SECRET) && !shown.contains(token.value.expose().as_str()), "{shown}");
}

proptest! {
    #[test]
    fn arbitrary_texts_are_refused_without_panicking(text in ".{0,300}") {
        prop_assert!(tokens("user-service", &clock()).verify(&text).is_err());
    }

    #[test]
    fn arbitrary_headers_and_claims_are_refused_without_panicking(
        header in prop::collection::vec(any::<u8>(), 0..100),
        claims in prop::collection::vec(any::<u8>(), 0..100),
        signature in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let token =
            format!("{}.{}.{}", base64url(header), base64url(claims), base64url(signature));
        prop_assert!(tokens("user-service", &clock()).verify(&token).is_err());
    }

    #[test]
    fn a_token_with_one_character_changed_is_refused(place in 0_usize..300, to in "[A-Za-z0-9_.-]") {
        let tokens = tokens("user-service", &clock());
        let mut token = tokens.for_service("user-service").unwrap().value.expose().clone();
        // The last character of a part may carry bits that mean nothing.
        let place = place % (token.len() - 1);
        let before = token.clone();
        token.replace_range(place..=place, &to);
        prop_assert!(token == before || tokens.verify(&token).is_err(), "{token}");
    }
}
