//! What all services know of a user, given to the user as a whole or not at all.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::system::{Fixture, Signed, System, administrator};

/// More than one page of payments holds.
const PAYMENTS: usize = 101;

async fn export(system: &System, id: &str, token: &str, cursor: Option<&str>) -> Response {
    let query = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
    let url = system.users.url(&format!("/api/users/{id}/export{query}"));
    system.request(Method::GET, &url).bearer_auth(token).send().await.unwrap()
}

/// All pages.
async fn pages(system: &System, user: &Signed, token: &str) -> Vec<Value> {
    let (mut pages, mut cursor) = (Vec::<Value>::new(), None);
    loop {
        let answer = export(system, &user.id, token, cursor.as_deref()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
        assert_eq!(answer.headers()["cache-control"], "no-store");
        pages.push(answer.json().await.unwrap());
        cursor = pages[pages.len() - 1]["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return pages;
        }
    }
}

fn items<'a>(pages: &'a [Value], part: &str) -> Vec<&'a Value> {
    pages.iter().filter_map(|page| page[part]["items"].as_array()).flatten().collect()
}

#[tokio::test]
async fn an_export_holds_all_that_the_services_know_of_a_user_and_nothing_of_others() {
    let mut fixture = Fixture::set_up().await;
    fixture.settings.push(("RATE_LIMIT_ENABLED", "false".to_owned()));
    let pools =
        futures_util::future::join_all(fixture.databases.iter().map(testkit::TestDatabase::pool))
            .await;
    let variables = fixture.environment(0);
    let admin = administrator(&variables);
    let system = fixture.start(variables).await;
    let user = system.new_user().await;
    let other = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    system.pay(&other.token, "of-another", "pm_card_visa").await;
    let body = json!({"amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa",
        "description": "a present for Grace"});
    let pay = system.request(Method::POST, &system.payments.url("/api/payments"));
    let pay = pay.bearer_auth(&user.token).header("idempotency-key", "described").json(&body);
    assert_eq!(pay.send().await.unwrap().status(), StatusCode::CREATED);
    let linked = "insert into external_accounts (id, user_id, issuer, subject, created_at)
                  values (gen_random_uuid(), $1::uuid, 'https://issuer', 'ada', now())";
    sqlx::query(linked).bind(&user.id).execute(&pools[0]).await.unwrap();
    let factor = "insert into second_factors (user_id, key_id, sealed_secret, last_step, recovery_hashes,
                                             created_at, enabled_at)
                  values ($1::uuid, 'k1', 'sealed', 0, array[sha256('1'), sha256('2')], now(), now())";
    sqlx::query(factor).bind(&user.id).execute(&pools[0]).await.unwrap();
    let copies =
        "insert into payments (id, user_id, amount, currency, payment_method, status, attempts,
                                        version, created_at, updated_at)
                  select gen_random_uuid(), user_id, amount, currency, payment_method, status, 1, 2,
                         created_at, updated_at
                  from payments, generate_series(2, $2) where user_id = $1::uuid";
    let copied = sqlx::query(copies).bind(&user.id).bind(i32::try_from(PAYMENTS).unwrap());
    copied.execute(&pools[1]).await.unwrap();

    for token in [&user.token, &admin] {
        let pages = pages(&system, &user, token).await;
        let own = &pages[0]["user"];
        assert_eq!(own["profile"]["email"], user.email, "{own}");
        assert_eq!(own["sessions"].as_array().unwrap().len(), 1, "{own}");
        assert_eq!(own["mail_tokens"][0]["purpose"], "verification", "{own}");
        let factor = &own["second_factor"];
        assert_eq!((&factor["enabled"], &factor["recovery_codes_left"]), (&json!(true), &json!(2)));
        assert!(factor["enabled_at"].is_string(), "{factor}");
        let linked = &own["external_accounts"][0];
        assert_eq!(
            (&linked["issuer"], &linked["subject"]),
            (&json!("https://issuer"), &json!("ada"))
        );
        assert_eq!(pages[0]["notifications"]["contact"]["email"], user.email);
        assert!(pages[0]["payments"]["customer"].is_object());
        let payments = items(&pages, "payments");
        assert_eq!((pages.len(), payments.len()), (2, PAYMENTS));
        assert!(payments.iter().any(|payment| payment["description"] == "a present for Grace"));
        let notifications = items(&pages, "notifications");
        assert!(notifications.iter().any(|sent| sent["kind"] == "welcome"), "{notifications:?}");
        let text = json!(pages).to_string();
        for secret in ["argon2", "hash", "refresh", "sealed", &other.email, &other.id] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let refused = export(&system, &user.id, &other.token, None).await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    let wrong = export(&system, &user.id, &user.token, Some("x")).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let entries = "select actor from audit where action = 'user-export' and target = 'user:' || $1";
    let actors: Vec<String> =
        sqlx::query_scalar(entries).bind(&user.id).fetch_all(&pools[0]).await.unwrap();
    for actor in [format!("user:{}", user.id), "administrator:".to_owned()] {
        assert!(actors.iter().any(|entry| entry.starts_with(&actor)), "{actor}: {actors:?}");
    }
}

#[tokio::test]
async fn an_export_of_which_a_part_would_be_missing_is_refused() {
    let mut system = System::start().await;
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    assert_eq!(export(&system, &user.id, &user.token, None).await.status(), StatusCode::OK);

    system.notifications.kill();
    let refused = export(&system, &user.id, &user.token, None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let text = refused.text().await.unwrap();
    assert!(!text.contains(&user.email), "{text}");

    system.notifications.restart().await;
    testkit::eventually("all of it is there again", async || {
        let answer = export(&system, &user.id, &user.token, None).await;
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
}
