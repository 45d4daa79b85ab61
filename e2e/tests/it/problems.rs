//! Whatever a stranger asks of a running service, an error is a problem document with a request id.

use std::collections::BTreeSet;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use testkit::ServiceProcess;
use uuid::Uuid;

use crate::system::{Fixture, administrator};

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
/// What no document has.
const OTHERS: [&str; 12] = [
    "/",
    "/live",
    "/ready",
    "/health",
    "/metrics",
    "/metrics/x",
    "/openapi.json",
    "/docs",
    "/docs/nothing",
    "/api/",
    "/admin/nothing",
    "/.well-known/nothing",
];
/// Its errors are those of OAuth (RFC 6749, section 5.2).
const OAUTH: &str = "/oauth/token";

#[tokio::test]
async fn every_error_of_every_route_is_a_problem_document_whose_type_leads_to_a_page() {
    let fixture = Fixture::set_up().await;
    let variables = fixture.environment(0);
    let system = fixture.start(variables.clone()).await;
    let admin = administrator(&variables);
    let user = system.new_user().await;
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let (mut wrong, mut errors) = (Vec::new(), 0);
    for service in [&system.users, &system.payments, &system.notifications] {
        let mut types = BTreeSet::new();
        for path in paths(service).await {
            for method in METHODS.map(|method| method.parse::<Method>().unwrap()) {
                for token in
                    [None, Some("nonsense"), Some(user.token.as_str()), Some(admin.as_str())]
                {
                    let request = http.request(method.clone(), service.url(&path));
                    let request = token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
                    let answer = request.send().await.unwrap();
                    errors += usize::from(!answer.status().is_success());
                    let fault = fault(answer, &path, &method, &mut types).await;
                    wrong.extend(fault.map(|what| format!("{method} {path}: {what}")));
                }
            }
        }
        for kind in types {
            let page = reqwest::get(service.url(&kind)).await.unwrap();
            assert_eq!(page.status(), 200, "{kind} leads to nothing");
        }
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
    assert!(errors > 500, "{errors} errors were seen");
}

/// The paths of a service, of its document and others.
async fn paths(service: &ServiceProcess) -> Vec<String> {
    let document = reqwest::get(service.management_url("/openapi.json")).await.unwrap();
    let document: Value = document.json().await.unwrap();
    let documented = document["paths"].as_object().unwrap().keys().map(|path| {
        path.replace("{id}", &Uuid::now_v7().to_string()).replace("{queue}", "nothing")
    });
    documented.chain(OTHERS.map(str::to_owned)).collect()
}

/// What is wrong with an answer; the type of a problem is added to `types`.
async fn fault(
    answer: Response,
    path: &str,
    method: &Method,
    types: &mut BTreeSet<String>,
) -> Option<String> {
    let status = answer.status();
    let headers = answer.headers().clone();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("x-request-id").is_none() {
        return Some(format!("{status} has no request id"));
    }
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    if status.is_server_error() {
        return Some(format!("{status}"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED && text("allow").is_none() {
        return Some(format!("{status} does not say what is allowed"));
    }
    let is_oauth = path == OAUTH && status != StatusCode::METHOD_NOT_ALLOWED;
    let expected = if is_oauth { "application/json" } else { "application/problem+json" };
    if text("content-type") != Some(expected) {
        return Some(format!("{status} is {:?}", text("content-type")));
    }
    let body = answer.text().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    types.extend(body["type"].as_str().map(str::to_owned));
    let is_told = *method == Method::HEAD || is_oauth || body["status"] == status.as_u16();
    (!is_told).then(|| format!("{status} has the body {body}"))
}
