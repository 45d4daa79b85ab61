//! `GET /api/samples/{id}/aspect`.

use auth::Role;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::problem;
use uuid::Uuid;

use crate::app::TestApp;

#[tokio::test]
async fn it_answers_who_is_signed_in_and_nobody_else() {
    let app = TestApp::start().await;
    let ask = || app.request(Method::GET, "/api/samples/{id}/aspect");
    assert_eq!(problem(ask()).await.0, 401);
    let caller = Uuid::now_v7();
    let answer = ask().bearer_auth(app.user_token(caller, Role::User)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({"user_id": caller}));
}
