//! `/admin/calls`: what an administrator sees of the services and the provider that this service
//! calls, and the circuit breakers that he forces.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;

use crate::app::TestApp;

/// What an administrator is told of a target.
async fn target(app: &TestApp, name: &str) -> Value {
    let admin = app.admin();
    let calls: Value = app.get("/admin/calls", &admin.token).await.json().await.unwrap();
    assert_eq!(calls["caller"], "payment-service");
    let targets = calls["targets"].as_array().unwrap();
    targets.iter().find(|target| target["target"] == name).unwrap().clone()
}

async fn force(app: &TestApp, target: &str, change: Value) -> (StatusCode, Value) {
    let path = format!("/admin/calls/{target}/breaker");
    let request = app.request(Method::PUT, &path).bearer_auth(app.admin().token);
    let answer = request.json(&change).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Pays as somebody who has not paid before, so that user-service is asked.
async fn pay(app: &TestApp) -> StatusCode {
    app.pay(&app.payer(), "order", "pm_card_visa").await.status()
}

#[tokio::test]
async fn a_target_that_is_down_shows_an_open_breaker_and_why_until_it_is_back() {
    let mut app = TestApp::start().await;
    assert_eq!(pay(&app).await, StatusCode::CREATED);
    let well = target(&app, "user-service").await;
    let address = format!("127.0.0.1:{}", app.fixture.users.port());
    let endpoint = &well["endpoints"][0];
    assert_eq!((&well["source"], &endpoint["address"]), (&json!("static"), &json!(address)));
    assert_eq!((&endpoint["state"], &endpoint["is_called"]), (&json!("eligible"), &json!(true)));
    assert_eq!((&well["breaker"]["state"], well.get("last_fault")), (&json!("closed"), None));
    assert_eq!((&well["bulkhead"]["used"], &well["in_flight"]), (&json!(0), &json!(0)));
    let counted = (&well["breaker"]["recent_calls"], &well["breaker"]["recent_failures"]);
    assert_eq!(counted, (&json!(1), &json!(0)), "{well}");
    assert!(well["bulkhead"]["capacity"].as_u64().unwrap() > 0, "{well}");
    let budget = &well["retry_budget"];
    assert!(budget["left"].as_f64().unwrap() > 0.0 && budget["reserve"].is_f64(), "{well}");

    app.fixture.users.go_away().await;
    let down = eventually("the breaker is open", async || {
        assert_eq!(pay(&app).await, StatusCode::SERVICE_UNAVAILABLE);
        let down = target(&app, "user-service").await;
        (down["breaker"]["state"] == "open").then_some(down)
    })
    .await;
    let breaker = &down["breaker"];
    assert!(breaker["reason"].as_str().unwrap().contains("failed"), "{down}");
    assert!(breaker["since"].is_string() && breaker["tries_again_at"].is_string(), "{down}");
    assert_eq!((&breaker["is_forced"], breaker.get("forced_until")), (&json!(false), None));
    let fault = &down["last_fault"];
    assert_eq!((&fault["fault"], &fault["endpoint"]), (&json!("unreachable"), &json!(address)));

    app.fixture.users.come_back().await;
    eventually("the breaker is closed", async || {
        pay(&app).await;
        let closed = target(&app, "user-service").await["breaker"]["state"] == "closed";
        closed.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_breaker_forced_open_refuses_while_the_target_is_well_and_passes_once_automatic() {
    let mut app = TestApp::start().await;
    let forced = "circuit_breaker_forced{service=\"user-service\"}";
    assert!(app.metric(forced).await.abs() < 0.1);
    let (status, held) = force(&app, "user-service", json!({"state": "open"})).await;
    assert_eq!((status, &held["breaker"]["state"]), (StatusCode::OK, &json!("open")), "{held}");
    assert_eq!(held["breaker"]["is_forced"], true);
    assert!(held["breaker"]["forced_until"].is_string(), "{held}");
    assert_eq!(held["endpoints"][0]["is_called"], true, "the endpoint is well");
    let refused = app.pay(&app.payer(), "order", "pm_card_visa").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(app.fixture.users.seen().len(), 0, "nobody was called");
    assert!((app.metric(forced).await - 1.0).abs() < 0.1);

    let (_, released) = force(&app, "user-service", json!({"state": "automatic"})).await;
    assert_eq!(
        (&released["breaker"]["state"], &released["breaker"]["is_forced"]),
        (&json!("closed"), &json!(false))
    );
    assert_eq!(pay(&app).await, StatusCode::CREATED);
    assert!(app.metric(forced).await.abs() < 0.1);

    // Goes back by itself.
    force(&app, "user-service", json!({"state": "open", "for": 1})).await;
    let pays = async || (pay(&app).await == StatusCode::CREATED).then_some(());
    eventually("the breaker is automatic again", pays).await;

    force(&app, "user-service", json!({"state": "closed", "for": 3600})).await;
    app.fixture.users.go_away().await;
    for _ in 0..8 {
        assert_eq!(pay(&app).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    let held = target(&app, "user-service").await;
    assert_eq!(
        (&held["breaker"]["state"], &held["breaker"]["is_forced"]),
        (&json!("closed"), &json!(true))
    );

    let trail: Value = app.get("/admin/audit", &app.admin().token).await.json().await.unwrap();
    let entries = trail["items"].as_array().unwrap();
    let action = "PUT /admin/calls/{target}/breaker";
    let entry = entries.iter().find(|entry| entry["action"] == action).unwrap();
    assert_eq!(entry["target"], "user-service", "{trail}");
}

#[tokio::test]
async fn a_breaker_that_is_not_there_or_a_time_out_of_bounds_is_refused() {
    let app = TestApp::start().await;
    let provider = target(&app, "payment-provider").await;
    assert_eq!(provider["endpoints"][0]["address"], app.fixture.simulator.url());
    assert_eq!((&provider["bulkhead"]["capacity"], provider.get("breaker")), (&json!(16), None));
    for name in ["payment-provider", "nobody"] {
        let (status, problem) = force(&app, name, json!({"state": "open"})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    }
    for (change, pointer) in [
        (json!({"state": "open", "for": 0}), "/for"),
        (json!({"state": "closed", "for": 3601}), "/for"),
        (json!({"state": "ajar"}), "/state"),
        (json!({}), "/state"),
    ] {
        let (status, problem) = force(&app, "user-service", change).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let payer = app.payer();
    assert_eq!(app.get("/admin/calls", &payer.token).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(target(&app, "user-service").await["breaker"]["is_forced"], false);
}
