//! Faults told apart.

use std::time::Duration;

use service_client::{Call, Kind, ServiceClient};

use crate::{Answer, Server, client, get, nobody, settings};

#[tokio::test]
async fn not_found_is_a_kind_of_its_own() {
    let (_, instance) = Server::start([Answer::Status(404)]).await;
    let error = get(&client(&settings(), &[&instance])).await.unwrap_err();
    assert!(matches!(error.kind, Kind::NotFound));
    assert_eq!(error.instance, Some(format!("127.0.0.1:{}", instance.port)));
    assert_eq!(error.to_string(), "user-service.get_user failed after 1 attempts: not found");
}

#[tokio::test]
async fn a_time_out_is_distinguished_from_a_refused_connection() {
    let (_, hanging) = Server::start(vec![Answer::Hang; 3]).await;
    let mut fast = settings();
    fast.client.attempt_timeout = Duration::from_millis(20);
    let hung = get(&client(&fast, &[&hanging])).await.unwrap_err();
    assert!(matches!(hung.kind, Kind::TimedOut), "{hung}");
    let refused = get(&client(&fast, &[&nobody()])).await.unwrap_err();
    assert!(matches!(refused.kind, Kind::Unreachable), "{refused}");
    assert_eq!(refused.attempts, 3);
    let unknown = get(&client(&fast, &[])).await.unwrap_err();
    assert!(matches!(unknown.kind, Kind::NoInstance) && unknown.instance.is_none());
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_of_another_shape_is_unexpected() {
    let (_, instance) = Server::start([Answer::Large, Answer::Json("[1"), Answer::Json("7")]).await;
    let client = client(&settings(), &[&instance]);
    for reason in ["it is too large", "it has another shape"] {
        let error = get(&client).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Unexpected(text) if text == reason), "{error}");
    }
    let shape = client.get::<Vec<String>>("/", Call::new("list")).await.unwrap_err();
    assert!(matches!(shape.kind, Kind::Unexpected(_)));
}

#[tokio::test]
async fn a_fallback_answers_for_faults_that_may_pass_and_not_for_refusals() {
    let unreachable = client(&settings(), &[]);
    let answer = ServiceClient::or_fallback(get(&unreachable), |_| Some("stale".into())).await;
    assert_eq!(answer.unwrap(), "stale");
    let (_, instance) = Server::start([Answer::Status(404)]).await;
    let refused = client(&settings(), &[&instance]);
    let answer = ServiceClient::or_fallback(get(&refused), |_| Some("stale".into())).await;
    assert!(matches!(answer.unwrap_err().kind, Kind::NotFound));
}
