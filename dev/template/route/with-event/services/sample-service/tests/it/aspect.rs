//! `GET /api/samples/{id}/aspect`.

use auth::Role;
use contracts::sample::SampleOccurred;
use contracts::{Envelope, Event};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;
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
    assert_eq!(json!(heard.timestamp), answer["updated_at"]);
}
