//! The dead-letter queue and the archive over HTTP.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use messaging::DeadLetterQueue;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::archive::{archive_of, archiving, fill};
use crate::dead_letter_queue::dead_letters;
use crate::world::QUEUE;

#[tokio::test]
async fn the_routes_show_replay_and_discard() {
    let (_world, queue, _running) = dead_letters("admin").await;
    let path = |rest: &str| format!("/admin/queues/{QUEUE}/{rest}");

    let (_, queues) = get(&queue, "/admin/queues").await;
    assert_eq!(queues, json!([{"queue": QUEUE, "waiting": 0, "dead_letters": 3}]));
    let (_, listed) = get(&queue, &path("dead-letters?type=user.created&limit=10")).await;
    assert_eq!((&listed["seen"], &listed["dead_letters"]), (&json!(3), &json!(3)));
    let id = listed["items"][0]["id"].as_str().unwrap();
    let (_, peeked) = get(&queue, &path(&format!("dead-letters/{id}"))).await;
    assert_eq!(peeked["payload"]["data"]["name"], "A");
    assert_eq!(peeked["type"], "user.created");

    let (status, asked) = post(&queue, &path("discard"), json!({"filter": {"id": id}})).await;
    assert_eq!(
        (status, &asked["matched"], &asked["discarded"]),
        (StatusCode::OK, &json!(1), &json!(0))
    );
    let confirmed = json!({"filter": {"id": id}, "confirmation": asked["confirmation"]});
    let (_, discarded) = post(&queue, &path("discard"), confirmed.clone()).await;
    assert_eq!(discarded["discarded"], 1);
    let (status, problem) = post(&queue, &path("discard"), confirmed).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("/problems/changed")));
    let (_, replayed) = post(&queue, &path("replay"), json!({})).await;
    assert_eq!(
        replayed,
        json!({"replayed": 2, "beyond_inbox_retention": 0, "seen": 2, "dead_letters": 2})
    );
}

#[tokio::test]
async fn what_is_not_understood_is_a_problem_and_changes_nothing() {
    let (_world, queue, _running) = dead_letters("admin refusals").await;
    let path = |rest: &str| format!("/admin/queues/{QUEUE}/{rest}");

    for (rest, status) in [
        ("dead-letters?limit=0", StatusCode::BAD_REQUEST),
        ("dead-letters?since=yesterday", StatusCode::BAD_REQUEST),
        ("dead-letters?typ=user.created", StatusCode::BAD_REQUEST),
        ("dead-letters/unknown", StatusCode::NOT_FOUND),
    ] {
        let (answered, problem) = get(&queue, &path(rest)).await;
        assert_eq!((answered, &problem["status"]), (status, &json!(status.as_u16())), "{rest}");
    }
    let (status, _) = post(&queue, &path("replay"), json!({"typ": "user.created"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a mistyped filter does not mean all");
    for query in ["beyond_inbox_retention=maybe", "beyond=true"] {
        let (status, _) = post(&queue, &path(&format!("replay?{query}")), json!({})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
    for (rest, body) in [
        ("replay", json!([])),
        ("replay", json!([null, null])),
        ("replay", json!(null)),
        ("discard", json!([{}])),
        ("discard", json!({"filter": [null, null]})),
    ] {
        let (status, problem) = post(&queue, &path(rest), body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{rest} {body}");
        assert_eq!(problem["status"], 422, "{rest} {body}");
    }
    let (status, _) = post(&queue, "/admin/queues/other.events/replay", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(queue.depth().await.unwrap().dead_letters, 3);
}

#[tokio::test]
async fn the_routes_list_events_that_were_sent_and_send_them_again() {
    let (world, outbox) = archiving("admin events").await;
    let ids = fill(&world, &outbox, 3).await;
    world.client().await.queue("payment-service.events").await;
    let archive = archive_of(&world, &outbox);
    let router: axum::Router = messaging::admin::events::router().with_state(archive).into();
    let get = async |path| answer(&router, Request::get(path).body(Body::empty()).unwrap()).await;
    let post = async |body: Value| {
        let request = Request::post("/admin/events/republish");
        let request = request.header("content-type", "application/json");
        answer(&router, request.body(Body::from(body.to_string())).unwrap()).await
    };

    let (_, page) = get("/admin/events?type=user.created&limit=2").await;
    assert_eq!(
        (&page["items"][0]["id"], &page["next"]),
        (&json!(ids[0]), &page["items"][1]["position"])
    );
    assert!(!page.to_string().contains("a@example.com"), "what an event says is not listed");
    for path in ["/admin/events?limit=0", "/admin/events?typ=user.created", "/admin/events?id=7"] {
        assert_eq!(get(path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }

    let target = json!({"queue": "payment-service.events"});
    let body = json!({"filter": {"type": "user.created"}, "target": target});
    let (_, asked) = post(body.clone()).await;
    assert_eq!((&asked["matched"], &asked["republished"]), (&json!(3), &json!(0)));
    let mut confirmed = body.clone();
    confirmed["confirmation"] = asked["confirmation"].clone();
    let (_, done) = post(confirmed.clone()).await;
    assert_eq!(done["republished"], 3);
    confirmed["target"] = json!("all");
    assert_eq!(post(confirmed).await.0, StatusCode::CONFLICT);

    let strange = json!({"filter": {}, "target": {"queue": "amq.gen-1"}});
    assert_eq!(post(strange).await.0, StatusCode::BAD_REQUEST);
    for unclear in
        [json!({"filter": {}}), json!([{}, "all"]), json!({"filter": [], "target": "all"})]
    {
        let (status, problem) = post(unclear.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{unclear}");
        assert_eq!(problem["status"], 422);
    }
}

async fn get(queue: &DeadLetterQueue, path: &str) -> (StatusCode, Value) {
    call(queue, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn post(queue: &DeadLetterQueue, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    call(queue, request.body(Body::from(body.to_string())).unwrap()).await
}

async fn call(queue: &DeadLetterQueue, request: Request<Body>) -> (StatusCode, Value) {
    let router: axum::Router = messaging::admin::router().with_state(queue.clone()).into();
    answer(&router, request).await
}

async fn answer(router: &axum::Router, request: Request<Body>) -> (StatusCode, Value) {
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1_000_000).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}
