//! `GET /api/samples/{id}/aspect`.

use auth::Role;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;
use uuid::Uuid;

use crate::app::TestApp;

#[tokio::test]
async fn it_answers_for_what_is_the_callers_and_for_nothing_else() {
    let app = TestApp::start().await;
    let (id, token) = app.one().await;
    let ask = |id: &str| app.request(Method::GET, &format!("/api/samples/{id}/aspect"));
    let answer = ask(&id).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["sample_id"], json!(id));

    let other = app.user_token(Uuid::now_v7(), Role::User);
    assert_eq!(problem(ask(&id)).await.0, 401);
    assert_eq!(problem(ask(&id).bearer_auth(other)).await.0, 404);
    let admin = app.user_token(Uuid::now_v7(), Role::Admin);
    let unknown = Uuid::now_v7().to_string();
    assert_eq!(problem(ask(&unknown).bearer_auth(admin)).await.0, 404);
}
