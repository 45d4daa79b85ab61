//! Making: what comes of it, and who sees it.

use contracts::sample::SampleCreated;
use contracts::{Envelope, Event};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;

use crate::app::TestApp;

#[tokio::test]
async fn what_is_made_is_found_under_its_location_and_heard_of() {
    let app = TestApp::start().await;
    app.plain.listen("sample.events", "ear").await;
    let person = app.person();
    let made = app.making(&person, "key-1", " First ").send().await.unwrap();
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = made.json().await.unwrap();
    assert_eq!((&body["title"], &body["status"]), (&json!("First"), &json!("open")));
    let shown = app.get(&location, &person.token).await;
    assert_eq!(shown.json::<Value>().await.unwrap(), body);

    let heard = app.plain.next("ear").await;
    assert_eq!(heard.routing_key.as_str(), SampleCreated::TYPE);
    let heard: Envelope<Value> = serde_json::from_slice(&heard.data).unwrap();
    assert_eq!(heard.service, "sample-service");
    assert_eq!(heard.data, json!({"sample_id": body["sample_id"], "user_id": person.id}));
}

#[tokio::test]
async fn asked_again_with_the_same_key_also_at_once_it_makes_and_tells_nothing_more() {
    let app = TestApp::start().await;
    app.plain.listen("sample.events", "ear").await;
    let person = app.person();
    let make = async |key| {
        let made = app.making(&person, key, "First").send().await.unwrap();
        (made.status(), made.json::<Value>().await.unwrap()["sample_id"].clone())
    };
    let (first, second) = tokio::join!(make("key-1"), make("key-1"));
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!((&first, &first), (&second, &make("key-1").await));
    let other = make("key-2").await;
    let hear = async || {
        let heard = app.plain.next("ear").await;
        serde_json::from_slice::<Envelope<Value>>(&heard.data).unwrap().data["sample_id"].clone()
    };
    // Of two there is no order.
    let heard = [hear().await, hear().await];
    assert!(heard.contains(&first.1) && heard.contains(&other.1), "{heard:?}");
    assert_eq!((app.rows().await, app.plain.waiting("ear").await), (2, 0));
}

#[tokio::test]
async fn a_key_is_the_users_own_and_good_for_one_request_only() {
    let app = TestApp::start().await;
    let ada = app.person();
    let bob = app.person();
    for person in [&ada, &bob] {
        let made = app.making(person, "key-1", "First").send().await.unwrap();
        assert_eq!(made.status(), 201);
    }
    let (status, problem) = testkit::problem(app.making(&ada, "key-1", "Second")).await;
    assert_eq!((status, &problem["type"]), (422, &json!("/problems/idempotency-key-reused")));
    assert_eq!(app.rows().await, 2);
}

#[tokio::test]
async fn the_own_and_for_an_administrator_all_are_shown_and_nothing_else() {
    let app = TestApp::start().await;
    let (id, owner) = app.one().await;
    let other = app.person();
    let admin = app.admin();
    let path = format!("/api/samples/{id}");
    for (token, expected) in [(&owner, 200), (&other.token, 404), (&admin.token, 200)] {
        assert_eq!(app.get(&path, token).await.status(), expected);
    }
}

#[tokio::test]
async fn the_owner_closes_it_once_and_nobody_else_does() {
    let app = TestApp::start().await;
    let (id, owner) = app.one().await;
    let other = app.person();
    let path = format!("/api/samples/{id}");
    for (token, expected) in [(&other.token, 404), (&owner, 204), (&owner, 204)] {
        let closing = app.request(Method::DELETE, &path).bearer_auth(token).send().await.unwrap();
        assert_eq!(closing.status(), expected);
    }
    let shown: Value = app.get(&path, &owner).await.json().await.unwrap();
    assert_eq!(shown["status"], "closed");
    assert_eq!(app.count("select count(*) from samples where version = 2").await, 1);
}

#[tokio::test]
async fn what_has_been_closed_for_long_is_removed() {
    let app = TestApp::start_with(&[("SWEEP_RETENTION", "1h"), ("SWEEP_INTERVAL", "50ms")]).await;
    let person = app.person();
    for title in ["open", "closed", "closed for long"] {
        app.made(&person, title).await;
    }
    let close = "update samples set status = 'closed',
                     updated_at = case title when 'closed' then updated_at
                                  else updated_at - interval '2 hours' end
                 where title <> 'open'";
    sqlx::query(close).execute(&app.pool).await.unwrap();
    eventually("it is removed", async || (app.rows().await == 2).then_some(())).await;
    assert_eq!(app.count("select count(*) from samples where title like '%long'").await, 0);
}

#[tokio::test]
async fn one_round_removes_all_that_has_been_closed_for_long() {
    let app = TestApp::start_with(&[("SWEEP_RETENTION", "1h"), ("SWEEP_INTERVAL", "6s")]).await;
    let closed = "insert into samples (id, user_id, idempotency_key, title, status, version,
                                       created_at, updated_at)
                  select gen_random_uuid(), gen_random_uuid(), n::text, 'Closed', 'closed', 2,
                         now(), now() - interval '2 hours'
                  from generate_series(1, 3500) n";
    sqlx::query(closed).execute(&app.pool).await.unwrap();
    // Batches that came an interval apart would take longer than is waited for.
    eventually("all are removed", async || (app.rows().await == 0).then_some(())).await;
}
