//! `EdDSA`: the whole scenario, and a new key in the middle of it, without a restart.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::Value;
use testkit::eventually;

use crate::system::{Fixture, Signed, System};

/// Writes a new private key as an operator does: beside the others, under a later name.
fn add_key(folder: &Path, kid: &str) {
    let der = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let part = folder.join(format!("{kid}.part"));
    std::fs::write(&part, pem).unwrap();
    std::fs::rename(part, folder.join(format!("{kid}.pem"))).unwrap();
}

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "EdDSA");
    header["kid"].as_str().unwrap().to_owned()
}

async fn start(folder: &Path) -> System {
    let mut fixture = Fixture::set_up().await;
    fixture.settings = vec![
        ("JWT_ALGORITHM", "EdDSA".to_owned()),
        ("JWT_KEYS_REFRESH", "200ms".to_owned()),
        ("JWT_KEYS_ACTIVATION", "2s".to_owned()),
        // Short, so that payment-service gets several in the course of the test.
        ("SERVICE_TOKEN_EXPIRATION", "4s".to_owned()),
        // Nobody reads it: with EdDSA there is no shared secret.
        ("JWT_SECRET", "short".to_owned()),
    ];
    let mut users = fixture.environment(0);
    users.insert("JWT_KEYS_DIR".to_owned(), folder.display().to_string());
    fixture.start(users).await
}

/// Every service is asked by a user, and user-service by payment-service.
async fn round(system: &System, user: &Signed, token: &str, key: &str) {
    for url in [
        system.users.url("/api/users/me"),
        system.payments.url("/api/payments"),
        system.notifications.url("/api/notifications"),
    ] {
        let answer = system.request(Method::GET, &url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url} of {} with {}", user.id, kid(token));
    }
    let paid = system.pay(token, key, "pm_card_visa").await;
    assert_eq!(paid.status(), 201, "{key} with {}", kid(token));
}

#[tokio::test]
async fn keys_rotate_under_load_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    add_key(folder.path(), "2026-01");
    let system = start(folder.path()).await;
    let user = system.new_user().await;
    assert_eq!(kid(&user.token), "2026-01");

    let is_over = AtomicBool::new(false);
    let load = async {
        let mut rounds = 0;
        while !is_over.load(Ordering::SeqCst) {
            let fresh = system.sign_in(&user.email).await;
            round(&system, &user, &user.token, &format!("old-{rounds}")).await;
            round(&system, &user, &fresh, &format!("new-{rounds}")).await;
            rounds += 1;
        }
        rounds
    };
    let rotation = async {
        add_key(folder.path(), "2026-02");
        let fresh = eventually("a token carries the new key", async || {
            let token = system.sign_in(&user.email).await;
            (kid(&token) == "2026-02").then_some(token)
        });
        round(&system, &user, &fresh.await, "after").await;
        // Service tokens follow at their next renewal; calls go on through it.
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        is_over.store(true, Ordering::SeqCst);
    };
    let (rounds, ()) = tokio::join!(load, rotation);
    assert!(rounds > 1, "{rounds}");

    // The old key goes: its tokens are refused, everywhere, once everybody has noticed.
    std::fs::remove_file(folder.path().join("2026-01.pem")).unwrap();
    for url in [system.users.url("/api/users/me"), system.payments.url("/api/payments")] {
        eventually("the old key's tokens are refused", async || {
            let request = system.request(Method::GET, &url).bearer_auth(&user.token);
            (request.send().await.unwrap().status() == 401).then_some(())
        })
        .await;
    }
    let fresh = system.sign_in(&user.email).await;
    round(&system, &user, &fresh, "at last").await;
    system.until_sent(&fresh, "payment_receipt").await;
}
