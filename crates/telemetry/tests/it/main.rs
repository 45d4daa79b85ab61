//! Logs, traces and metrics of a whole process: each test watches a scene of `examples/scenes.rs`, since
//! telemetry is set up once a process and writes to its standard output.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod export;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// Runs one scene; cargo builds it beside the tests.
fn run(scene: &str) -> Output {
    run_with(scene, &[])
}

fn run_with(scene: &str, arguments: &[&str]) -> Output {
    let output = spawn(scene, arguments).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Starts a scene whose outputs the test reads.
fn spawn(scene: &str, arguments: &[&str]) -> Child {
    let tests = std::env::current_exe().unwrap();
    let scenes = tests.parent().unwrap().with_file_name("examples").join("scenes");
    let mut command = Command::new(scenes);
    command.arg(scene).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The JSON lines that a scene wrote.
fn lines(scene: &str) -> Vec<Value> {
    lines_of(run(scene))
}

fn lines_of(output: Output) -> Vec<Value> {
    let output = String::from_utf8(output.stdout).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_log_line_is_one_json_object_with_fixed_message_fields_and_service() {
    let lines = lines("a_line_with_fields");
    let line = lines.iter().find(|line| line["message"] == "server listening").unwrap();
    assert_eq!((&line["level"], &line["service"]), (&"INFO".into(), &"user-service".into()));
    assert_eq!((&line["server.port"], &line["server.tls"]), (&3001.into(), &false.into()));
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_field_that_is_called_like_a_key_of_the_line_changes_no_key_and_makes_no_second_one() {
    let output = String::from_utf8(run("a_line_with_fields").stdout).unwrap();
    let line = output.lines().find(|line| line.contains("a field like a key")).unwrap();
    for key in ["level", "target", "service", "trace_id"] {
        assert!(line.matches(&format!("\"{key}\":")).count() <= 1, "{line}");
    }
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["service"]), (&"INFO".into(), &"user-service".into()));
    assert_eq!(line["trace_id"], Value::Null, "it is of no trace");
    assert_eq!(
        (&line["field.level"], &line["field.target"]),
        (&"ERROR".into(), &"somewhere".into())
    );
}

#[test]
fn a_value_that_logs_while_it_is_formatted_leaves_both_lines_whole() {
    let lines = lines("a_line_with_fields");
    let line = lines.iter().find(|line| line["message"] == "a value that logs").unwrap();
    assert_eq!(line["inner"], "chatty");
    assert!(lines.iter().any(|line| line["message"] == "within a value"));
}

#[test]
fn a_callers_trace_is_continued_in_logs_and_headers_though_nothing_is_exported() {
    let lines = lines("a_continued_trace");
    let line = lines.iter().find(|line| line["message"] == "inside").unwrap();
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(line["span_id"], "b7ad6b7169203331");
    let passed_on = lines.iter().find(|line| line["message"] == "passed on").unwrap();
    let traceparent = passed_on["traceparent"].as_str().unwrap();
    let span = line["span_id"].as_str().unwrap();
    assert_eq!(traceparent, format!("00-0af7651916cd43dd8448eb211c80319c-{span}-01"));
    assert_eq!(passed_on["makes_spans"], false, "nobody would get them");
}

#[test]
fn message_bodies_that_the_broker_library_would_log_are_never_written() {
    let output = String::from_utf8(run("a_chatty_library").stdout).unwrap();
    assert!(!output.contains("ada@example.com"), "{output}");
    assert!(output.contains("after"), "{output}");
}

#[test]
fn what_is_logged_before_a_panic_is_written() {
    let output = spawn("a_panic", &[]).wait_with_output().unwrap();
    assert!(!output.status.success());
    let lines = lines_of(output);
    assert!(lines.iter().any(|line| line["message"] == "before the panic"), "{lines:?}");
}

/// The pipe has room for a tenth of the lines, and the buffer before it for a half.
#[test]
fn lines_that_find_no_room_are_dropped_and_told_and_no_line_is_torn() {
    let mut scene = spawn("more_lines_than_wait", &[]);
    let mut errors = BufReader::new(scene.stderr.as_mut().unwrap()).lines();
    assert!(errors.next().is_some(), "it has written all it has to without a reader");
    let lines = lines_of(scene.wait_with_output().unwrap());
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["number"].as_u64()).collect();
    assert!(numbers.is_sorted(), "they keep their order");
    let told: u64 = lines.iter().filter_map(|line| line["log.dropped"].as_u64()).sum();
    assert!(told > 0);
    assert_eq!(u64::try_from(numbers.len()).unwrap() + told, 10_000);
}

#[test]
fn another_filter_holds_at_once_and_one_that_is_none_changes_nothing() {
    let said = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (text("filter"), text("message"), line["refused"] == true)
    };
    let expected = [
        ("warn", "warn", false),
        ("warn,scenes=debug", "debug", false),
        ("warn,scenes=debug", "warn", false),
        ("warn,scenes=debug", "debug", false),
        ("warn,scenes=debug", "warn", true),
        ("trace", "debug", false),
        ("trace", "warn", false),
    ];
    let expected =
        expected.map(|(filter, level, refused)| (filter.to_owned(), level.to_owned(), refused));
    let lines = lines("another_filter");
    let lines = lines.iter().filter(|line| line["target"] == "scenes").map(said);
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}
