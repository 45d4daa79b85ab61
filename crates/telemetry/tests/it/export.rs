//! What reaches a collector, and what becomes of the rest.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;
use testkit::certificates::Certificates;
use testkit::collector::{Collector, Span};

use crate::{lines_of, run_with, spawn};

/// What a scene exports to a collector, and the lines that it writes.
async fn watch(scene: &'static str, more: &[&str]) -> (Vec<Span>, Vec<Value>) {
    let collector = Collector::start();
    let mut words = vec![collector.endpoint()];
    words.extend(more.iter().map(ToString::to_string));
    let run = move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        lines_of(run_with(scene, &words))
    };
    let lines = tokio::task::spawn_blocking(run).await.unwrap();
    (collector.spans(), lines)
}

/// How many spans came to this end, by the metrics that a scene tells when it is over.
fn count(lines: &[Value], outcome: &str) -> u64 {
    let metrics = lines.iter().find_map(|line| line["metrics"].as_str()).unwrap();
    let name = format!("telemetry_spans_total{{outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
    count.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn what_waits_at_the_end_is_sent_and_says_who_made_it() {
    let (spans, lines) = watch("an_export", &[]).await;
    let [span] = &spans[..] else { panic!("one span: {spans:?}") };
    assert_eq!((span.name.as_str(), span.kind), ("GET /api/users/{id}", "internal"));
    for (name, value) in [
        ("service.name", "user-service"),
        ("service.namespace", "tusk"),
        ("service.version", "1.2.3"),
        ("vcs.ref.head.revision", "0123456789abcdef0123456789abcdef01234567"),
        ("deployment.environment.name", "test"),
        ("host.name", "a-pod"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(span.resource[name], value, "{span:?}");
    }
    assert_eq!((count(&lines, "exported"), count(&lines, "dropped")), (1, 0));
}

#[tokio::test]
async fn each_process_is_an_instance_of_its_own() {
    let mut instances = Vec::new();
    for _ in 0..2 {
        let (spans, _) = watch("an_export", &[]).await;
        instances.push(spans[0].resource["service.instance.id"].clone());
    }
    assert_ne!(instances[0], instances[1]);
    assert!(instances.iter().all(|id| id.len() == 36), "{instances:?}");
}

#[tokio::test]
async fn events_and_the_spans_of_libraries_are_not_exported() {
    let (spans, lines) = watch("an_export", &[]).await;
    assert!(lines.iter().any(|line| line["email"] == "ada@example.com"), "it is logged: {lines:?}");
    assert!(!format!("{spans:?}").contains("ada@example.com"), "{spans:?}");
}

#[tokio::test]
async fn a_callers_decision_comes_before_our_own() {
    for probability in ["0", "1"] {
        let (spans, _) = watch("sampling", &[probability]).await;
        let called = spans.iter().filter(|span| span.name.contains("caller"));
        let names: Vec<&str> = called.map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["of a sampled caller"; 2], "at {probability}");
    }
}

#[tokio::test]
async fn new_traces_are_recorded_as_often_as_the_settings_say() {
    for (probability, expected) in [("0", 0..=0), ("0.5", 350..=650), ("1", 1_000..=1_000)] {
        let (spans, _) = watch("sampling", &[probability]).await;
        let new = spans.iter().filter(|span| span.name == "new").count();
        assert!(expected.contains(&new), "{new} at {probability}");
    }
}

#[tokio::test]
async fn requests_are_recorded_as_often_as_the_settings_say_and_the_others_make_no_spans() {
    for (probability, expected) in [("0", 0..=0), ("0.1", 30..=140), ("1", 800..=800)] {
        let (spans, lines) = watch("requests", &[probability]).await;
        let requests = spans.iter().filter(|span| span.name == "of a stranger");
        assert!(requests.clone().all(|span| span.links.len() == 1 && span.parent_id.is_empty()));
        let recorded = requests.count();
        assert!(expected.contains(&recorded), "{recorded} at {probability}");
        let made = lines.iter().find(|line| line["message"] == "inner spans made").unwrap();
        assert_eq!(made["inner"], recorded, "at {probability}");
    }
}

#[tokio::test]
async fn a_request_is_recorded_when_its_caller_records_it_and_passes_that_on_with_its_trace() {
    for probability in ["0", "1"] {
        let (spans, lines) = watch("requests", &[probability]).await;
        let callers = spans.iter().filter(|span| span.name.ends_with("caller"));
        let names: Vec<&str> = callers.map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["of a recorded caller"], "at {probability}");
        let told: Vec<&Value> =
            lines.iter().filter(|line| line["message"] == "passed on").collect();
        let new = if probability == "1" { "01" } else { "00" };
        for (line, flags) in told.iter().zip(["01", "00", new]) {
            let trace = &line["trace_id"];
            let span = &line["span_id"];
            let passed_on =
                format!("00-{}-{}-{flags}", trace.as_str().unwrap(), span.as_str().unwrap());
            assert_eq!(
                (&line["header"], &line["traceparent"]),
                (&passed_on.as_str().into(), &passed_on.as_str().into())
            );
            assert_eq!(line["makes_spans"], flags == "01", "{line}");
        }
        let traces: Vec<bool> = told
            .iter()
            .map(|line| line["trace_id"] == "0af7651916cd43dd8448eb211c80319c")
            .collect();
        assert_eq!(traces, [true, true, false], "at {probability}");
    }
}

#[tokio::test]
async fn a_statement_is_a_client_span_below_the_span_that_it_ran_in() {
    let (spans, _) = watch("statements", &[]).await;
    let [statement, request] = &spans[..] else { panic!("two spans: {spans:?}") };
    assert_eq!((statement.name.as_str(), statement.kind), ("select users", "client"));
    assert_eq!(statement.parent_id, request.span_id);
    let took = statement.ended - statement.began;
    assert_eq!(took, 2_000_000_000, "it began when sqlx began");
    for (name, value) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "users"),
        ("db.query.summary", "select users"),
        ("db.query.text", "select id from users where email = $1"),
        ("server.address", "db.example"),
        ("server.port", "5432"),
    ] {
        assert_eq!(statement.attribute(name), value, "{statement:?}");
    }
}

/// Every span is accounted for, and nothing waits for ever: the scene comes to its end.
#[tokio::test]
async fn a_collector_that_is_away_costs_spans_that_are_counted_and_nothing_else() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let lines = lines_of(run_with("more_spans_than_wait", &[&endpoint]));
    assert!(lines.iter().any(|line| line["message"] == "all spans made"));
    assert_eq!(count(&lines, "exported"), 0);
    assert_eq!(count(&lines, "failed") + count(&lines, "dropped"), 20_000);
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_spans_that_are_counted_and_nothing_else() {
    // Connections are taken into the backlog, and nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let lines = lines_of(run_with("more_spans_than_wait", &[&endpoint]));
    assert!(lines.iter().any(|line| line["message"] == "all spans made"));
    assert_eq!(count(&lines, "exported"), 0);
    assert!(count(&lines, "dropped") > 10_000);
}

#[tokio::test]
async fn an_end_waits_for_a_silent_collector_no_longer_than_it_is_told_to() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let lines = lines_of(run_with("an_end_without_patience", &[&endpoint]));
    // The export is given up after five seconds, and then counted.
    assert_eq!((count(&lines, "exported"), count(&lines, "failed")), (0, 0));
}

/// A collector of somebody who wants a key, over TLS.
#[tokio::test]
async fn spans_go_over_tls_with_the_headers_of_the_settings_and_to_nobody_else() {
    let certificates = Certificates::new();
    let collector = Collector::start_with_tls(&certificates, ("x-api-key", "hunter2=="));
    let endpoint = collector.endpoint();
    let export = async |ca: PathBuf, headers: &'static str| {
        let endpoint = endpoint.clone();
        let ca = ca.display().to_string();
        let run = move || lines_of(run_with("an_export", &[&endpoint, &ca, headers]));
        let lines = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(!format!("{lines:?}").contains("hunter2"), "{lines:?}");
        (count(&lines, "exported"), count(&lines, "failed"))
    };
    let key = "x-api-key=hunter2%3D%3D";
    assert_eq!(export(certificates.stranger(), key).await, (0, 1), "of another authority");
    assert_eq!(export(PathBuf::new(), key).await, (0, 1), "of no public authority");
    assert_eq!(export(certificates.authority(), "").await, (0, 1), "without the key");
    assert!(collector.spans().is_empty());
    assert_eq!(export(certificates.authority(), key).await, (1, 0));
    assert_eq!(collector.spans().len(), 1);
}

/// A collector that comes late, at an address with a password.
#[tokio::test(flavor = "multi_thread")]
async fn exports_that_fail_are_reported_once_and_once_when_they_work_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://operator:hunter2@127.0.0.1:{port}");
    let mut scene = spawn("an_export_that_fails", &[&endpoint]);
    let (mut lines, mut collector) = (Vec::new(), None);
    for line in BufReader::new(scene.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["outcome"] == "failed" {
            collector = Some(Collector::start_at(port));
        }
        lines.push(line);
    }
    assert!(scene.wait().unwrap().success());
    drop(collector);
    let told = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!((told("spans are not exported"), told("spans are exported again")), (1, 1));
    let fault = lines.iter().find(|line| line["message"] == "spans are not exported").unwrap();
    assert_eq!(fault["collector"], format!("127.0.0.1:{port}"));
    assert_eq!(fault["error.type"], "unavailable");
    assert!(!format!("{lines:?}").contains("hunter2"), "{lines:?}");
}
