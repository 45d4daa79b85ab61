//! Who is refused first when there is not room for all.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use chassis::ServiceCheck;
use chassis::extract::RequestContext;
use reqwest::Response;

use crate::{TestApp, builder, held, open, settings};

/// A caller with this token is a service.
const SERVICE: &str = "Bearer of-a-service";

fn services() -> ServiceCheck {
    Arc::new(|request| request.headers().get("authorization").is_some_and(|it| it == SERVICE))
}

async fn ask(app: &TestApp, path: &str, token: Option<&str>, criticality: &str) -> Response {
    let request = app.http.get(app.url(path)).header("x-criticality", criticality);
    let request = token.into_iter().fold(request, |it, token| it.header("authorization", token));
    request.send().await.unwrap()
}

#[tokio::test]
async fn anybody_may_lower_the_criticality_of_a_request_and_only_a_service_may_raise_it() {
    let told = async |context: RequestContext| context.criticality.as_str();
    let routes = open(Router::new().route("/told", get(told)));
    let app = TestApp::run(builder(settings()).services(services()).routes(routes)).await;
    for (token, said, is) in [
        (None, "background", "background"),
        (None, "critical", "default"),
        (None, "CRITICAL", "default"),
        (Some("Bearer of-a-user"), "critical", "default"),
        (Some(SERVICE), "critical", "critical"),
        (Some(SERVICE), "background", "background"),
        (Some(SERVICE), "nonsense", "default"),
    ] {
        let answer = ask(&app, "/told", token, said).await.text().await.unwrap();
        assert_eq!(answer, is, "{token:?} {said}");
    }
}

#[tokio::test]
async fn the_background_is_refused_first_and_critical_requests_of_services_last() {
    let (entered, leave, hold) = held();
    let mut limited = settings();
    (limited.concurrency_limit, limited.service_concurrency_limit) = (4, 4);
    let routes = open(Router::new().route("/hold", hold).route("/pass", get(async || "in")));
    let app = TestApp::run(builder(limited).services(services()).routes(routes)).await;
    let app = Arc::new(app);
    let mut inside = Vec::new();
    for (token, criticality, others) in [
        (None, "default", [200, 200, 200]),
        (None, "default", [200, 200, 200]),
        (None, "background", [200, 200, 200]),
        // Three quarters of the limit are taken, then all of it, then three quarters of the reserve.
        (None, "default", [429, 200, 200]),
        (Some(SERVICE), "default", [429, 503, 200]),
        (Some(SERVICE), "default", [429, 503, 200]),
        (Some(SERVICE), "default", [429, 503, 200]),
        (Some(SERVICE), "critical", [429, 503, 200]),
        (Some(SERVICE), "critical", [429, 503, 503]),
    ] {
        let callers = [(None, "background"), (None, "critical"), (Some(SERVICE), "critical")];
        for ((token, criticality), status) in callers.into_iter().zip(others) {
            let answer = ask(&app, "/pass", token, criticality).await;
            assert_eq!(answer.status(), status, "{} in, {token:?} {criticality}", inside.len());
        }
        if inside.len() < 8 {
            let app = app.clone();
            let token = token.map(str::to_owned);
            inside.push(tokio::spawn(async move {
                ask(&app, "/hold", token.as_deref(), criticality).await.status()
            }));
            entered.notified().await;
        }
    }
    assert_eq!(ask(&app, "/pass", Some(SERVICE), "background").await.status(), 429);
    for request in inside {
        leave.notify_one();
        assert_eq!(request.await.unwrap(), 200);
    }
}
