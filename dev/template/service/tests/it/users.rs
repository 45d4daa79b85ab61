//! Whether the user is active: user-service says so, or nothing is made.

use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_deleted_and_an_unknown_user_are_refused_and_nothing_is_stored() {
    let app = TestApp::start().await;
    for word in ["deleted", "none"] {
        let person = app.person();
        app.users.say(&person.id.to_string(), word);
        let (status, problem) = testkit::problem(app.making(&person, "key-1", "First")).await;
        assert_eq!((status, &problem["type"]), (422, &json!("/problems/user-not-active")));
    }
    assert_eq!(app.rows().await, 0);
}

#[tokio::test]
async fn the_question_carries_a_service_token_and_the_request_id() {
    let app = TestApp::start().await;
    let answer = app.making(&app.person(), "key-1", "First").send().await.unwrap();
    let seen = app.users.seen().remove(0);
    let token = seen["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let user_service = app.tokens("user-service", chassis::Clock::system());
    let auth::Caller::Service(caller) = user_service.verify(token).unwrap() else {
        panic!("not a service")
    };
    assert_eq!(caller.name, "sample-service");
    assert_eq!(seen["x-request-id"], answer.headers()["x-request-id"]);
}

#[tokio::test]
async fn without_user_service_the_answer_is_a_503_and_once_it_is_back_the_same_request_is_done() {
    let mut app = TestApp::start_with(&[("RETRY_INITIAL_BACKOFF", "1ms")]).await;
    let person = app.person();
    app.users.go_away().await;
    let refused = app.making(&person, "key-1", "First").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(app.rows().await, 0);
    app.users.come_back().await;
    testkit::eventually("it is made", async || {
        let made = app.making(&person, "key-1", "First").send().await.unwrap();
        (made.status() == 201).then_some(())
    })
    .await;
    assert_eq!(app.rows().await, 1);
}

#[tokio::test]
async fn a_user_service_that_is_broken_is_a_503_and_one_that_refuses_us_is_our_fault() {
    let app = TestApp::start_with(&[("RETRY_INITIAL_BACKOFF", "1ms")]).await;
    for (word, expected) in [("broken", 503), ("forbidden", 500)] {
        let person = app.person();
        app.users.say(&person.id.to_string(), word);
        let refused = testkit::problem(app.making(&person, "key-1", "First")).await;
        assert_eq!(refused.0, expected, "{word}");
    }
    assert_eq!(app.rows().await, 0);
}
