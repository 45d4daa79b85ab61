//! The parking lot over HTTP.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use messaging::ParkingLot;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::lot::parked;
use crate::world::QUEUE;

#[tokio::test]
async fn the_routes_show_replay_and_discard() {
    let (_world, lot, _parked) = parked("admin").await;
    let path = |rest: &str| format!("/admin/queues/{QUEUE}/{rest}");

    let (_, queues) = get(&lot, "/admin/queues").await;
    assert_eq!(queues, json!([{"queue": QUEUE, "waiting": 0, "parked": 3}]));
    let (_, listed) = get(&lot, &path("parked?type=user.created&limit=10")).await;
    assert_eq!((&listed["seen"], &listed["parked"]), (&json!(3), &json!(3)));
    let id = listed["items"][0]["id"].as_str().unwrap();
    let (_, peeked) = get(&lot, &path(&format!("parked/{id}"))).await;
    assert_eq!(peeked["payload"]["data"]["name"], "A");
    assert_eq!(peeked["type"], "user.created");

    let (status, asked) = post(&lot, &path("discard"), json!({"filter": {"id": id}})).await;
    assert_eq!(
        (status, &asked["matched"], &asked["discarded"]),
        (StatusCode::OK, &json!(1), &json!(0))
    );
    let confirmed = json!({"filter": {"id": id}, "confirmation": asked["confirmation"]});
    let (_, discarded) = post(&lot, &path("discard"), confirmed.clone()).await;
    assert_eq!(discarded["discarded"], 1);
    let (status, problem) = post(&lot, &path("discard"), confirmed).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("/problems/changed")));
    let (_, replayed) = post(&lot, &path("replay"), json!({})).await;
    assert_eq!(replayed, json!({"replayed": 2, "seen": 2, "parked": 2}));
}

#[tokio::test]
async fn what_is_not_understood_is_a_problem_and_changes_nothing() {
    let (_world, lot, _parked) = parked("admin refusals").await;
    let path = |rest: &str| format!("/admin/queues/{QUEUE}/{rest}");

    for (rest, status) in [
        ("parked?limit=0", StatusCode::BAD_REQUEST),
        ("parked?since=yesterday", StatusCode::BAD_REQUEST),
        ("parked?typ=user.created", StatusCode::BAD_REQUEST),
        ("parked/unknown", StatusCode::NOT_FOUND),
    ] {
        let (answered, problem) = get(&lot, &path(rest)).await;
        assert_eq!((answered, &problem["status"]), (status, &json!(status.as_u16())), "{rest}");
    }
    let (status, _) = post(&lot, &path("replay"), json!({"typ": "user.created"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a mistyped filter does not mean all");
    for (rest, body) in [
        ("replay", json!([])),
        ("replay", json!([null, null])),
        ("replay", json!(null)),
        ("discard", json!([{}])),
        ("discard", json!({"filter": [null, null]})),
    ] {
        let (status, problem) = post(&lot, &path(rest), body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{rest} {body}");
        assert_eq!(problem["status"], 422, "{rest} {body}");
    }
    let (status, _) = post(&lot, "/admin/queues/other.events/replay", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(lot.depth().await.unwrap().parked, 3);
}

async fn get(lot: &ParkingLot, path: &str) -> (StatusCode, Value) {
    call(lot, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn post(lot: &ParkingLot, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    call(lot, request.body(Body::from(body.to_string())).unwrap()).await
}

async fn call(lot: &ParkingLot, request: Request<Body>) -> (StatusCode, Value) {
    let router: axum::Router = messaging::admin::router().with_state(lot.clone()).into();
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1_000_000).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}
