//! `cargo dev logs` on what real services write, and on files as they grow.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use serde_json::Value;

use crate::{
    Killed,
    system::{Servers, System},
};

#[test]
fn a_trace_is_shown_over_all_services_by_its_first_digits_and_by_a_request() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let told: Value = serde_json::from_str(&system.succeeds(&["smoke", "--json"])).unwrap();
    let trace = told["trace_id"].as_str().unwrap();

    let services = ["notification-service", "payment-service", "user-service"];
    system.until("all services have written of the trace", || {
        names(&entries(&system, &["--trace", &trace[..8]]))
            == BTreeSet::from(services.map(Into::into))
    });
    let of_trace = entries(&system, &["--trace", trace]);
    assert!(of_trace.iter().all(|entry| entry["trace_id"] == trace));
    let times: Vec<&str> = of_trace.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let paid = of_trace.iter().find(|entry| entry["fields"]["http.route"] == "/api/payments");
    let request = paid.unwrap()["request_id"].as_str().unwrap();
    assert_eq!(entries(&system, &["--trace", request]), of_trace);

    let shown = system.succeeds(&["logs", "--trace", &trace[..8]]);
    assert!(shown.contains("notification-service  INFO notification worked on"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "it is no terminal");
    let errors = entries(&system, &["--trace", trace, "--level", "error"]);
    assert_eq!(errors, Vec::<Value>::new());
    let one = entries(&system, &["--trace", trace, "user-service", "-n", "1"]);
    assert_eq!(names(&one), BTreeSet::from(["user-service".to_owned()]));
    assert_eq!(one.len(), 1);
    let all = names(&entries(&system, &["--since", "1h"]));
    let others = ["dev-proxy", "payment-simulator"].map(str::to_owned);
    assert!(
        all.is_superset(&services.map(str::to_owned).into_iter().chain(others).collect()),
        "{all:?}"
    );
    assert_eq!(entries(&system, &["--until", "2000-01-01"]), Vec::<Value>::new());
    system.succeeds(&["down"]);
}

#[test]
fn what_was_written_before_a_rotation_comes_first_and_steers_no_terminal() {
    let system = System::new();
    let log = |name: &str| system.path(".dev/logs").join(name);
    append(&log("a.log.1"), "2026-01-15T12:00:00Z  INFO one\n");
    append(&log("a.log"), "2026-01-15T12:00:03Z  WARN four\n  at src/a.rs:1\n");
    append(&log("b.log"), "2026-01-15 12:00:01.5 UTC [7] LOG:  two \u{1b}[2J\u{9b}1m\n");
    append(&log("c.log"), "7:M 15 Jan 2026 12:00:02.500 * three\n");
    let shown = system.succeeds(&["logs"]);
    let said: Vec<&str> = shown.lines().map(|line| line[24..].trim()).collect();
    assert_eq!(
        said,
        [
            "a  INFO one",
            "b  INFO two \\u{1b}[2J\\u{9b}1m",
            "c  INFO three",
            "a  WARN four",
            "a         at src/a.rs:1"
        ]
    );
    let warned = system.succeeds(&["logs", "--level", "warn"]);
    assert_eq!(warned.lines().count(), 2, "{warned}");
    let found = system.succeeds(&["logs", "a", "--grep", "src/a.rs"]);
    assert!(found.lines().next().unwrap().ends_with("WARN four"), "{found}");
    let unknown = system.output(&["logs", "d"]);
    let error = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && error.contains("there are: a, b, c"), "{error}");
}

#[test]
fn followed_logs_go_on_over_rotation_and_truncation_and_new_logs() {
    let system = System::new();
    let log = |name: &str| system.path(".dev/logs").join(name);
    append(&log("a.log"), &line("before"));
    let follow = system.start(&["logs", "--follow", "-n", "1"]);
    let said = || fs::read_to_string(system.path("logs.log")).unwrap_or_default();
    let is_said = |text: &str| system.until(text, || said().contains(text));
    is_said("before");
    append(&log("a.log"), &line("added"));
    is_said("added");
    fs::rename(log("a.log"), log("a.log.1")).unwrap();
    append(&log("a.log"), &line("rotated"));
    append(&log("a.log.1"), &line("late"));
    is_said("rotated");
    is_said("late");
    fs::write(log("a.log"), line("anew")).unwrap();
    is_said("anew");
    append(&log("b.log"), &line("another"));
    is_said("another");
    drop(follow);
    let said = said();
    let count = said.lines().filter(|line| line.contains("INFO")).count();
    assert_eq!(count, 6, "each once: {said}");
}

#[test]
fn a_log_that_grows_by_megabytes_does_not_fill_memory() {
    const GROWN: usize = 48 << 20;
    let system = System::new();
    let path = system.path(".dev/logs/a.log");
    append(&path, &line("begin"));
    let follow = Killed(system.dev(&["logs", "--follow"]).spawn().unwrap());
    system.until("it follows", || {
        fs::read_to_string(system.path("logs.log")).is_ok_and(|said| said.contains("begin"))
    });
    let lines = line(&"x".repeat(1000)).repeat(1000);
    for _ in 0..GROWN / lines.len() {
        append(&path, &lines);
    }
    // One line that never ends, too.
    append(&path, &"y".repeat(GROWN));
    let read = || {
        let text = fs::read_to_string(format!("/proc/{}/io", follow.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        line.parse::<usize>().unwrap()
    };
    system.until("all of it is read", || read() > 2 * GROWN - lines.len());
    let status = fs::read_to_string(format!("/proc/{}/status", follow.0.id())).unwrap();
    drop(follow);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < GROWN / 1024, "{kib} KiB for {} KiB", 2 * GROWN / 1024);
}

fn line(said: &str) -> String {
    format!("2026-01-15T12:00:00Z  INFO {said}\n")
}

fn append(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn entries(system: &System, words: &[&str]) -> Vec<Value> {
    let printed = system.succeeds(&[&["logs", "--json"], words].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(entries: &[Value]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry["log"].as_str().unwrap().to_owned()).collect()
}
