//! Keys come and go while tokens are signed and verified.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::keys::{Algorithm, JwkSet, KeyError, Keys};
use auth::{KeyRing, KeySource, TokenError, Tokens};
use aws_lc_rs::rsa::KeySize;
use chassis::{CancellationToken, Clock};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::fixture::{DELAY, Folder, SECRET, auth, clock, ed25519, keys, kid, pem, rsa};

const OLD: Duration = Duration::from_secs(3600);
const NEW: Duration = Duration::ZERO;

fn tokens(ring: &KeyRing, clock: &Clock) -> Tokens {
    Tokens::new(&auth(), ring.clone(), "user-service", clock.clone())
}

fn sign(ring: &KeyRing, clock: &Clock) -> String {
    tokens(ring, clock).for_service("user-service").unwrap().value.expose().clone()
}

#[tokio::test]
async fn a_new_key_signs_once_it_is_old_enough_and_the_tokens_of_the_old_one_stay_good() {
    let clock = clock();
    let folder = Folder::new();
    folder.put("2026-01.pem", &ed25519(), OLD);
    let ring = folder.ring("EdDSA", &clock);
    let before = sign(&ring, &clock);

    folder.put("2026-02.pem", &ed25519(), NEW);
    ring.read_again().await;
    let kids = |ring: &KeyRing| -> Vec<String> {
        ring.jwks().keys.into_iter().filter_map(|key| key.common.key_id).collect()
    };
    assert_eq!(kids(&ring), ["2026-01", "2026-02"], "others read it at once");
    assert_eq!(kid(&sign(&ring, &clock)), "2026-01");
    clock.advance(DELAY);
    let after = sign(&ring, &clock);
    assert_eq!((kid(&before), kid(&after)), ("2026-01".to_owned(), "2026-02".to_owned()));
    assert!(tokens(&ring, &clock).verify(&before).is_ok());
    assert!(tokens(&ring, &clock).verify(&after).is_ok());

    folder.remove("2026-01.pem");
    ring.read_again().await;
    assert_eq!(tokens(&ring, &clock).verify(&before), Err(TokenError::UnknownKey));
    assert!(tokens(&ring, &clock).verify(&after).is_ok());
}

/// What the kubelet does to a mounted secret that got one more key: it writes all files anew.
#[tokio::test]
async fn a_retired_key_does_not_sign_again_when_all_key_files_are_rewritten_at_once() {
    let clock = clock();
    let folder = Folder::new();
    let texts = [ed25519(), ed25519(), ed25519()];
    folder.put("2025-11.pem", &texts[0], 40 * 24 * OLD);
    folder.put("2025-12.pem", &texts[1], OLD);
    let ring = folder.ring("EdDSA", &clock);
    assert_eq!(kid(&sign(&ring, &clock)), "2025-12");

    for (name, text) in ["2025-11.pem", "2025-12.pem", "2026-01.pem"].iter().zip(&texts) {
        folder.put(name, text, NEW);
    }
    ring.read_again().await;
    assert_eq!(kid(&sign(&ring, &clock)), "2025-12", "2026-01 is not known to everybody");
    clock.advance(DELAY);
    assert_eq!(kid(&sign(&ring, &clock)), "2026-01");
}

/// A pod that starts has just had all files written.
#[test]
fn a_retired_key_does_not_sign_again_at_a_start_that_finds_all_files_new() {
    for (names, expected) in [
        (["2025-11.pem", "2025-12.pem", "2026-02.pem"], "2025-12"),
        (["amber.pem", "blue.pem", "coral.pem"], "coral"),
    ] {
        let clock = clock();
        let folder = Folder::new();
        for name in names {
            folder.put(name, &ed25519(), NEW);
        }
        assert_eq!(kid(&sign(&folder.ring("EdDSA", &clock), &clock)), expected, "{names:?}");
    }
}

#[tokio::test]
async fn a_key_that_appears_signs_once_it_was_there_for_the_delay_however_old_its_file_is() {
    let clock = clock();
    let folder = Folder::new();
    folder.put("a.pem", &ed25519(), NEW);
    let ring = folder.ring("EdDSA", &clock);
    folder.put("b.pem", &ed25519(), OLD);
    ring.read_again().await;
    assert_eq!(kid(&sign(&ring, &clock)), "a");
    clock.advance(DELAY);
    assert_eq!(kid(&sign(&ring, &clock)), "b");
}

#[test]
fn with_hs256_the_secret_is_the_first_key_and_files_come_after_it() {
    let clock = clock();
    let folder = Folder::new();
    let alone = KeyRing::open(&keys("HS256", SECRET, None), clock.clone()).unwrap();
    let before = sign(&alone, &clock);
    assert_eq!(kid(&before), "0");
    folder.put("2026-01.key", &format!("{}\n", "s".repeat(32)), OLD);
    folder.put("..data", "a mount's own", OLD);
    folder.put("notes.txt", "not ours", OLD);
    let ring = folder.ring("HS256", &clock);
    assert_eq!(kid(&sign(&ring, &clock)), "2026-01");
    assert!(tokens(&ring, &clock).verify(&before).is_ok());
    assert!(ring.jwks().keys.is_empty(), "a secret is no public key");
}

#[tokio::test]
async fn a_token_with_an_unknown_key_has_the_keys_read_again_once_a_second_at_most() {
    let clock = clock();
    let folder = Folder::new();
    folder.put("1.key", &"1".repeat(32), OLD);
    let signer = folder.ring("HS256", &clock);
    let verifier = folder.ring("HS256", &clock);
    folder.put("2.key", &"2".repeat(32), OLD);
    signer.read_again().await;
    clock.advance(DELAY);
    let token = sign(&signer, &clock);
    let verifier = tokens(&verifier, &clock);
    assert_eq!(verifier.verify(&token), Err(TokenError::UnknownKey));
    assert!(verifier.authenticate(&token).await.is_ok());

    folder.put("3.key", &"3".repeat(32), OLD);
    signer.read_again().await;
    clock.advance(DELAY);
    let next = sign(&signer, &clock);
    assert_eq!(verifier.authenticate(&next).await, Err(TokenError::UnknownKey));
}

#[test]
fn faulty_folders_are_named_at_start_and_no_key_is_shown() {
    let clock = clock();
    let open = |algorithm: &str, name: &str, text: &str| {
        let folder = Folder::new();
        folder.put(name, text, OLD);
        KeyRing::open(&folder.settings(algorithm), clock.clone()).unwrap_err().to_string()
    };
    let public = pem("PUBLIC KEY", &public_ed25519());
    let no_signer = "[keys] has no key to sign with: put <kid>.pem, a private key, into its folder";
    for (algorithm, name, text, expected) in [
        ("HS256", "1.key", "hunter2", "1.key: a key of 32 bytes or more is needed, this has 7"),
        ("HS256", "1.key", &"x".repeat(20_000), "1.key: too large for a key"),
        ("EdDSA", "1.pem", "hunter2", "1.pem: not a PKCS#8 key for EdDSA in PEM"),
        ("EdDSA", "1.pem", &rsa(KeySize::Rsa2048), "1.pem: not a PKCS#8 key for EdDSA in PEM"),
        ("RS256", "1.pem", &ed25519(), "1.pem: not a PKCS#8 key for RS256 in PEM"),
        ("EdDSA", "1.key", &ed25519(), no_signer),
        ("EdDSA", "1.pem", &public, no_signer),
    ] {
        let error = open(algorithm, name, text);
        assert!(error.ends_with(expected), "{error}");
    }
    let nowhere = keys("EdDSA", "", Some("/nowhere".as_ref()));
    let error = KeyRing::open(&nowhere, clock.clone()).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere: "), "{error}");
    assert_eq!(KeyRing::open(&keys("RS256", "", None), clock).unwrap_err(), KeyError::NoSigner);
}

fn public_ed25519() -> Vec<u8> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    // SubjectPublicKeyInfo of Ed25519 (RFC 8410 §4).
    let mut der = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
    der.extend(Ed25519KeyPair::generate().unwrap().public_key().as_ref());
    der
}

#[tokio::test]
async fn a_folder_that_turns_bad_leaves_the_last_good_keys() {
    let clock = clock();
    let folder = Folder::new();
    folder.put("1.pem", &ed25519(), OLD);
    let ring = folder.ring("EdDSA", &clock);
    let token = sign(&ring, &clock);
    folder.put("2.pem", "half a ke", OLD);
    ring.read_again().await;
    assert!(tokens(&ring, &clock).verify(&token).is_ok());
    assert_eq!(kid(&sign(&ring, &clock)), "1");
}

/// Somebody else's key set, which can be away.
#[derive(Clone, Default)]
pub(crate) struct Remote {
    pub(crate) set: Arc<Mutex<Option<JwkSet>>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl KeySource for Remote {
    fn load(&self) -> BoxFuture<'_, Result<Keys, KeyError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let set = self.set.lock().unwrap().clone();
        let set = set.ok_or_else(|| KeyError::Remote("away".to_owned()));
        Box::pin(async { Keys::from_jwks(Algorithm::EdDsa, &set?) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_set_elsewhere_is_read_until_it_is_there_and_stays_when_it_is_away() {
    let clock = clock();
    let folder = Folder::new();
    let remote = Remote::default();
    folder.put("1.pem", &ed25519(), OLD);
    let issuer = folder.ring("EdDSA", &clock);
    let token = sign(&issuer, &clock);
    let settings = folder.settings("EdDSA");
    let ring = KeyRing::remote(&settings, remote.clone(), clock.clone());
    let verifier = tokens(&ring, &clock);
    assert_eq!(verifier.authenticate(&token).await, Err(TokenError::NoKey));
    assert_eq!(verifier.for_service("x").unwrap_err(), TokenError::NoKey);

    let shutdown = CancellationToken::new();
    let running = tokio::spawn(ring.clone().run(shutdown.clone()));
    *remote.set.lock().unwrap() = Some(issuer.jwks());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(verifier.verify(&token).is_ok());
    for trouble in [None, Some(JwkSet::default())] {
        *remote.set.lock().unwrap() = trouble;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(verifier.verify(&token).is_ok());
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_tokens_with_unknown_keys_are_one_question_to_whom_has_the_keys() {
    let clock = clock();
    let folder = Folder::new();
    let remote = Remote::default();
    folder.put("1.pem", &ed25519(), OLD);
    let issuer = folder.ring("EdDSA", &clock);
    let token = sign(&issuer, &clock);
    *remote.set.lock().unwrap() = Some(JwkSet::default());
    let ring = KeyRing::remote(&folder.settings("EdDSA"), remote.clone(), clock.clone());
    let verifier = tokens(&ring, &clock);
    for second in 1..=3 {
        let all = (0..50).map(|_| verifier.authenticate(&token));
        for outcome in futures_util::future::join_all(all).await {
            assert!(outcome.is_err());
        }
        assert_eq!(remote.asked.load(Ordering::SeqCst), second);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

/// A key set elsewhere that takes the question and never answers.
#[derive(Clone, Default)]
struct Silent(Arc<AtomicUsize>);

impl KeySource for Silent {
    fn load(&self) -> BoxFuture<'_, Result<Keys, KeyError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Err(KeyError::Remote("no answer".to_owned()))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_wait_a_second_at_most_and_then_not_at_all_while_the_key_set_hangs() {
    let clock = clock();
    let folder = Folder::new();
    let silent = Silent::default();
    folder.put("1.pem", &ed25519(), OLD);
    let token = sign(&folder.ring("EdDSA", &clock), &clock);
    let ring = KeyRing::remote(&folder.settings("EdDSA"), silent.clone(), clock.clone());
    let verifier = tokens(&ring, &clock);
    let began = tokio::time::Instant::now();
    let all = (0..500).map(|_| async {
        let outcome = verifier.authenticate(&token).await;
        (outcome, began.elapsed())
    });
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(|(outcome, _)| *outcome == Err(TokenError::NoKey)));
    assert!(all.iter().all(|(_, took)| *took <= Duration::from_secs(1)));
    let waited = all.iter().filter(|(_, took)| !took.is_zero()).count();
    assert!(waited <= 32, "{waited} of 500 waited");
    assert_eq!(silent.0.load(Ordering::SeqCst), 1);
    // A minute of such tokens, one each tenth of a second: the question is put less and less often.
    let mut waited = Duration::ZERO;
    for _ in 0..600 {
        let began = tokio::time::Instant::now();
        assert!(verifier.authenticate(&token).await.is_err());
        waited += began.elapsed();
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(waited <= Duration::from_secs(8), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn fetched_keys_are_believed_for_an_hour_while_the_key_set_cannot_be_read() {
    let clock = clock();
    let folder = Folder::new();
    let remote = Remote::default();
    folder.put("1.pem", &ed25519(), OLD);
    let issuer = folder.ring("EdDSA", &clock);
    *remote.set.lock().unwrap() = Some(issuer.jwks());
    let ring = KeyRing::remote(&folder.settings("EdDSA"), remote.clone(), clock.clone());
    let verifier = tokens(&ring, &clock);
    ring.read_again().await;
    for trouble in [None, Some(JwkSet::default())] {
        *remote.set.lock().unwrap() = trouble;
        clock.advance(Duration::from_secs(3_000));
        ring.read_again().await;
        let token = sign(&issuer, &clock);
        assert!(verifier.authenticate(&token).await.is_ok());
        clock.advance(Duration::from_secs(601));
        assert_eq!(verifier.authenticate(&token).await, Err(TokenError::NoKey));
        tokio::time::advance(Duration::from_mins(1)).await;
        *remote.set.lock().unwrap() = Some(issuer.jwks());
        assert!(verifier.authenticate(&token).await.is_ok());
    }
}

#[test]
fn of_a_key_set_only_keys_that_fit_are_taken() {
    let folder = Folder::new();
    folder.put("good.pem", &ed25519(), OLD);
    let mut set = serde_json::to_value(folder.ring("EdDSA", &clock()).jwks()).unwrap();
    let good = set["keys"][0].clone();
    let with = |name: &str, value: serde_json::Value| {
        let mut key = good.clone();
        key["kid"] = format!("bad-{name}").into();
        key[name] = value;
        key
    };
    let secret = json!({"kty": "oct", "kid": "bad-oct", "k": "c2VjcmV0", "alg": "HS256"});
    let bad = [
        with("use", json!("enc")),
        with("alg", json!("RS256")),
        with("x", json!("c2hvcnQ")),
        with("kid", json!("../0")),
        with("kty", json!("AKP")),
        secret,
    ];
    set["keys"].as_array_mut().unwrap().extend(bad);
    let set: JwkSet = serde_json::from_value(set).unwrap();
    let keys = Keys::from_jwks(Algorithm::EdDsa, &set).unwrap();
    assert_eq!(format!("{keys:?}"), r#"Keys { algorithm: EdDsa, kids: ["good"] }"#);
    let keys = Keys::from_jwks(Algorithm::Hs256, &set).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys { algorithm: Hs256, kids: [] }");
}

#[test]
fn a_key_must_not_sign_before_others_have_read_it() {
    let folder = Folder::new();
    folder.put("1.pem", &ed25519(), OLD);
    let mut settings = folder.settings("EdDSA");
    if let auth::KeySettings::EdDSA { rotation, .. } = &mut settings {
        rotation.activation_delay = rotation.refresh_interval.get();
    }
    assert_eq!(KeyRing::open(&settings, clock()).unwrap_err(), KeyError::ActivationTooEarly);
}

#[test]
fn a_short_secret_is_refused_without_showing_it() {
    let error = auth::JwtSecret::try_from("hunter2".to_owned()).unwrap_err();
    assert_eq!(error, "a key of 32 bytes or more is needed, this has 7");
    let error = auth::ServiceSecret::try_from("hunter2".to_owned()).unwrap_err();
    assert_eq!(error, "a secret of 16 bytes or more is needed, this has 7");
}
