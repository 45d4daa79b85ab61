//! How the secrets of second factors are kept: sealed, under keys that are rotated.

use serde_json::json;
use testkit::{Instance, TestDatabase, eventually};
use tusk_config::Vars;
use user_service::UserService;

use crate::app::{PASSWORD, TestApp};
use crate::second_factor::Factor;

const OLD: &str = "test-only-second-factor-key-of-32-bytes-or-more";
const NEW: &str = "another-second-factor-key-of-32-bytes-or-more";

#[tokio::test]
async fn no_table_holds_a_secret_or_a_recovery_code_that_could_be_read() {
    let app = TestApp::start_with(&[("OUTBOX_ARCHIVE", "24h")]).await;
    let user = app.new_user().await;
    let factor = app.protected(&user).await;
    let hex =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let mut canaries = vec![hex(factor.secret.expose()), factor.secret.base32().expose().clone()];
    for code in &factor.recovery {
        canaries.extend([code.clone(), code.replace('-', ""), hex(code.as_bytes())]);
        canaries.push(hex(code.replace('-', "").as_bytes()));
    }
    assert_eq!(app.sign_in_with(&user.email, &factor.recovery[0]).await.0, 201);

    let pool = app.database.pool().await;
    let tables =
        "select table_name::text from information_schema.tables where table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    assert!(tables.iter().any(|table| table == "second_factors"), "{tables:?}");
    for table in tables {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let rows: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&pool).await.unwrap();
        let rows = rows.to_lowercase();
        let seen = canaries.iter().filter(|canary| rows.contains(&canary.to_lowercase()));
        assert_eq!(seen.count(), 0, "{table}: {rows}");
    }
}

#[tokio::test]
async fn a_secret_that_is_copied_to_another_user_opens_nothing() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let thief = app.new_user().await;
    app.protected(&user).await;
    let own = app.protected(&thief).await;
    let copy = "update second_factors set last_step = 0,
                       key_id = other.key_id, sealed_secret = other.sealed_secret
                from second_factors other
                where second_factors.user_id = $1::uuid and other.user_id = $2::uuid";
    let copy = sqlx::query(copy).bind(&user.id).bind(&thief.id);
    copy.execute(&app.database.pool().await).await.unwrap();
    assert_eq!(app.sign_in_with(&user.email, &own.code(0)).await.0, 500);
}

/// Signs in; gives the status.
async fn sign_in(service: &Instance, email: &str, code: &str) -> u16 {
    let body = json!({"email": email, "password": PASSWORD, "code": code});
    let request = service.request(reqwest::Method::POST, "/api/sessions").json(&body);
    request.send().await.unwrap().status().as_u16()
}

/// The ids of the keys that secrets are sealed with.
async fn keys(database: &TestDatabase) -> Vec<String> {
    let keys = sqlx::query_scalar("select distinct key_id from second_factors");
    keys.fetch_all(&database.pool().await).await.unwrap()
}

#[tokio::test]
async fn keys_are_rotated_while_users_sign_in_and_an_unknown_one_is_told_from_a_wrong_code() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let factor: Factor = app.protected(&user).await;
    let before = keys(&app.database).await;
    let with = |keys: &str| -> Vars { app.vars().with("SECOND_FACTOR_KEYS", keys.to_owned()) };

    // Everybody knows the new key before anybody seals with it.
    let knows = Instance::start::<UserService>(with(&format!("{OLD},{NEW}"))).await;
    app.later().await;
    assert_eq!(sign_in(&knows, &user.email, &factor.code(0)).await, 201);
    assert_eq!(keys(&app.database).await, before);
    let seals = Instance::start::<UserService>(with(&format!("{NEW},{OLD}"))).await;
    eventually("it is sealed anew", async || (keys(&app.database).await != before).then_some(()))
        .await;
    for service in [&knows, &seals] {
        app.later().await;
        assert_eq!(sign_in(service, &user.email, &factor.code(0)).await, 201);
    }
    // The old one alone knows it no more; without it all goes on.
    app.later().await;
    assert_eq!(sign_in(&app, &user.email, &factor.code(0)).await, 503);
    let last = Instance::start::<UserService>(with(NEW)).await;
    assert_eq!(sign_in(&last, &user.email, &factor.code(0)).await, 201);
}

#[tokio::test]
async fn settings_without_a_good_key_or_issuer_are_faults() {
    let app = TestApp::start().await;
    let faults = |name: &'static str, value: &str| -> String {
        let vars = app.vars().with(name, value.to_owned());
        platform::process::load::<UserService>(vars)
            .err()
            .map(|faults| faults.to_string())
            .unwrap_or_default()
    };
    for (name, value, fault) in [
        ("SECOND_FACTOR_KEYS", "too-short", "keys of 32 bytes or more are needed"),
        ("SECOND_FACTOR_ISSUER", "a:b", "1 to 64 characters are needed, and no colon"),
        ("SECOND_FACTOR_FREE_FAILURES", "0", "0 is not within 1 to 1000"),
    ] {
        let told = faults(name, value);
        assert!(told.contains(fault) && !told.contains("too-short"), "{told}");
    }
    assert_eq!(faults("SECOND_FACTOR_ISSUER", "Tusk & Söhne"), "");
}
