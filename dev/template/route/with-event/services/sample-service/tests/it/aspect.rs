//! `GET /api/samples/{id}/aspect`.

use auth::Role;
use contracts::sample::SampleOccurred;
use contracts::{Envelope, Event};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{eventually, problem};
use uuid::Uuid;

use crate::app::TestApp;

#[tokio::test]
async fn its_owner_has_it_told_and_nobody_else_has() {
    let app = TestApp::start().await;
    let (id, token) = app.one().await;
    app.plain.listen("sample.events", "ear").await;
    let ask = |id: &str| app.request(Method::GET, &format!("/api/samples/{id}/aspect"));
    let other = app.user_token(Uuid::now_v7(), Role::User);
    assert_eq!(problem(ask(&id)).await.0, 401);
    assert_eq!(problem(ask(&id).bearer_auth(other)).await.0, 404);
    let answer = ask(&id).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["sample_id"], json!(id));

    // What happened to it before may come first.
    let heard = loop {
        let heard = app.plain.next("ear").await;
        if heard.routing_key.as_str() == SampleOccurred::TYPE {
            break heard;
        }
    };
    let heard: Envelope<SampleOccurred> = serde_json::from_slice(&heard.data).unwrap();
    assert_eq!(json!(heard.data.sample_id), json!(id));
    assert_eq!(json!(heard.timestamp), answer["occurred_at"]);
}

#[tokio::test]
async fn asked_twice_at_once_and_again_it_answers_the_same_and_tells_one_event() {
    let app = TestApp::start().await;
    let (id, token) = app.one().await;
    app.plain.listen("sample.events", "ear").await;
    let ask = async || {
        let request = app.request(Method::GET, &format!("/api/samples/{id}/aspect"));
        let answer = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let (first, second) = tokio::join!(ask(), ask());
    assert_eq!((&first, &first), (&second, &ask().await));

    // An event leaves the outbox once the broker has it.
    eventually("all events are sent", async || {
        let waiting = app.count("select count(*) from messaging_outbox").await;
        (waiting == 0).then_some(())
    })
    .await;
    let mut told = 0;
    for _ in 0..app.plain.waiting("ear").await {
        let heard = app.plain.next("ear").await;
        told += u32::from(heard.routing_key.as_str() == SampleOccurred::TYPE);
    }
    assert_eq!(told, 1);
}
