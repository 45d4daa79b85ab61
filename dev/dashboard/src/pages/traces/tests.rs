use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Received, Status};

use crate::pages::testing::{Fixture, fixture, request, text};

/// 2023-11-14T22:13:20Z, in nanoseconds since 1970.
const BEGAN: u64 = 1_700_000_000_000_000_000;

fn pair(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

/// A span of so many milliseconds, below the first of its trace.
fn span(trace: u8, id: u16, name: &str, took: u64) -> Received {
    let span_id = |id: u16| u64::from(id).to_be_bytes().to_vec();
    Received {
        trace_id: vec![trace; 16],
        span_id: span_id(id),
        parent_span_id: if id == 1 { vec![] } else { span_id(1) },
        name: name.into(),
        kind: 2,
        start_time_unix_nano: BEGAN + u64::from(id) * 1_000_000,
        end_time_unix_nano: BEGAN + (u64::from(id) + took) * 1_000_000,
        attributes: vec![pair("http.route", "/<api>")],
        ..Received::default()
    }
}

fn receive(fixture: &Fixture, service: &str, spans: Vec<Received>) {
    let mut of_process = ResourceSpans {
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    of_process.resource.get_or_insert_default().attributes = vec![pair("service.name", service)];
    fixture.app.runs.receive(vec![of_process]).unwrap();
}

/// A request that fails, what it published, and another request alike.
fn a_run() -> Fixture {
    let fixture = fixture();
    let mut failed = span(0xa1, 2, "insert", 3);
    failed.status = Some(Status { code: 2, message: "no <such> row".into() });
    failed.events = vec![Event { name: "exception".into(), ..Event::default() }];
    receive(&fixture, "user-service", vec![span(0xa1, 1, "POST /users", 20), failed]);
    let mut consumed = span(0xb2, 1, "user.created", 30);
    consumed.kind = 5;
    consumed.links = vec![Link {
        trace_id: vec![0xa1; 16],
        span_id: 2_u64.to_be_bytes().to_vec(),
        ..Link::default()
    }];
    receive(&fixture, "notification-service", vec![consumed]);
    let alike = vec![span(0xc3, 1, "POST /users", 90), span(0xc3, 3, "select", 1)];
    receive(&fixture, "user-service", alike);
    fixture
}

#[tokio::test]
async fn traces_are_listed_by_what_is_asked_for() {
    let fixture = a_run();
    for (asked, expected) in [
        ("", 3),
        ("?service=notification-service", 1),
        ("?name=post", 2),
        ("?took=25", 2),
        ("?errors=on", 1),
        ("?since=2023-11-14T22:13:20Z", 3),
        ("?since=1m", 0),
        ("?until=2023-11-14T22:13:20Z", 0),
        ("?name=post&errors=on&service=user-service", 1),
    ] {
        let page = fixture.get(&format!("/traces{asked}")).await;
        let rows = page.matches("<tr id=\"t").count();
        assert_eq!(rows, expected, "{asked}");
        assert!(page.contains(&format!("{expected} of 3 traces, 5 spans")), "{asked}");
    }
    let page = fixture.get("/traces?limit=1").await;
    assert!(page.contains("limit=2\">More"), "{page}");
    assert!(fixture.get("/traces?took=long").await.contains("`long` is no number"));
}

#[tokio::test]
async fn a_trace_is_shown_with_what_it_is_linked_with_and_all_that_it_says_escaped() {
    let fixture = a_run();
    let page = fixture.get(&format!("/traces/{}", "a1".repeat(16))).await;
    assert_eq!(page.matches("<summary>").count(), 3, "{page}");
    for part in
        ["user.created", "↪ linked", "✖ failed", "no &lt;such&gt; row", "/&lt;api&gt;", "exception"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("href=\"/traces\" aria-current=\"page\""), "{page}");
    assert_eq!(page.matches("aria-current").count(), 1, "of one page alone: {page}");
    assert!(!page.contains("style="), "the policy lets none pass: {page}");
    assert_eq!(page.matches("class=\"name d1\"").count(), 1, "children are indented: {page}");
    assert_eq!(page.matches("class=\"name d2\"").count(), 1, "and what is linked: {page}");
    let page = fixture.get(&format!("/traces/{}", "ff".repeat(16))).await;
    assert!(page.contains("id=\"trace\" data-live"), "it may come: {page}");
}

#[tokio::test]
async fn a_trace_is_found_by_the_beginning_of_its_id() {
    let fixture = a_run();
    for path in ["/traces/find?id=B2B2", "/traces/b2b2b2"] {
        let response = fixture.send(request(path).body(Body::empty()).unwrap()).await;
        let expected = format!("/traces/{}", "b2".repeat(16));
        assert_eq!(response.headers()[header::LOCATION].to_str().unwrap(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_request_leads_to_its_trace() {
    let fixture = a_run();
    std::fs::create_dir_all(fixture.folder().join("logs")).unwrap();
    let line = format!(
        "{{\"timestamp\":\"2023-11-14T22:13:20Z\",\"message\":\"x\",\"request.id\":\"my-request\",\"trace_id\":\"{}\"}}\n",
        "a1".repeat(16)
    );
    std::fs::write(fixture.folder().join("logs/user-service.log"), line).unwrap();
    let response =
        fixture.send(request("/traces/find?id=my-request").body(Body::empty()).unwrap()).await;
    let expected = format!("/traces/{}", "a1".repeat(16));
    assert_eq!(response.headers()[header::LOCATION].to_str().unwrap(), expected);
    // The log line has no span, and stands below the trace.
    assert!(fixture.get(&expected).await.contains("Log lines of no span"));
}

#[tokio::test]
async fn two_traces_are_compared_span_by_span() {
    let fixture = a_run();
    let page = fixture.get("/traces/compare?a=a1a1&b=c3c3").await;
    for part in ["only in the first", "only in the second", "+70.0 ms", "slower"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = fixture.get("/traces/compare?a=a1a1").await;
    assert!(page.contains(&format!("b={}", "c3".repeat(16))), "one alike is offered: {page}");
}

#[tokio::test]
async fn a_run_is_exported_and_comes_back_by_an_import() {
    let fixture = a_run();
    let name = fixture.app.runs.current().name.clone();
    let exported = fixture.get(&format!("/runs/{name}/export")).await;
    assert_eq!(exported.lines().count(), 5);
    let import = |text: String| {
        let import = request("/runs/import").method(Method::POST).body(Body::from(text)).unwrap();
        fixture.send(import)
    };
    let response = import(exported).await;
    let target = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert!(fixture.get(&target).await.contains("3 of 3 traces, 5 spans"), "{target}");
    assert_eq!(fixture.get("/runs").await.matches("<tr id=\"r").count(), 2);
    let page = fixture.get("/traces").await;
    assert!(page.contains("value=\"\" selected>"), "the current run is chosen: {page}");

    let response = import("no span\n".to_owned()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(text(response).await.contains("line 1 is no span"));
    let foreign = request("/runs/nowhere/export").body(Body::empty()).unwrap();
    assert_eq!(fixture.send(foreign).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_trace_of_thousands_of_spans_has_the_details_of_the_one_that_is_asked_for() {
    let fixture = fixture();
    receive(&fixture, "user-service", (1..=5_000).map(|id| span(0xa1, id, "select", 2)).collect());
    let begin = Instant::now();
    let page = fixture.get(&format!("/traces/{}?open={:016x}", "a1".repeat(16), 4_000)).await;
    assert_eq!(page.matches("<div class=\"row\"").count(), 4_999);
    assert_eq!(page.matches("<details ").count(), 1);
    assert!(page.len() < 8 << 20, "{} bytes in {:?}", page.len(), begin.elapsed());
}

#[tokio::test]
async fn the_same_is_reported_as_json() {
    let fixture = a_run();
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let listed = read(fixture.get("/api/traces?errors=true&min_ms=1").await);
    assert_eq!(listed["count"], 1);
    assert_eq!(listed["items"][0]["trace_id"], "a1".repeat(16));
    let trace = read(fixture.get("/api/traces/a1a1").await);
    assert_eq!(trace["spans"].as_array().unwrap().len(), 3, "with what is linked");
    let status = read(fixture.get("/api/status").await);
    assert_eq!(status["run"]["spans"], 5);
    let response = fixture.send(request("/api/traces/dddd").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_follows_is_told_of_traces_that_come() {
    use futures_util::StreamExt;

    let fixture = a_run();
    let response = fixture
        .send(request("/api/traces?follow=true&name=late").body(Body::empty()).unwrap())
        .await;
    let mut parts = response.into_body().into_data_stream();
    receive(&fixture, "user-service", vec![span(0xd4, 1, "LATE", 1)]);
    let part = parts.next().await.unwrap().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&part).unwrap();
    assert_eq!((&told["name"], &told["spans"]), (&"LATE".into(), &1.into()));
}
