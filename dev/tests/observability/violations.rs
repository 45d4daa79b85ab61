//! One violation of each kind, planted into the files as they are.

use crate::{RULES, complaints, files::Files};

/// File, what is there, what is planted instead, and what is said of it.
type Violation = (&'static str, &'static str, &'static str, &'static str);

const RUNNING: &str = "rules/running.yml";
const TESTS: &str = "tests/running.yml";
const RUNBOOK: &str = "RUNBOOK.md";
const SERVICES: &str = "grafana/dashboards/services.json";
const TARGETS: &str = "prometheus.yml";

const VIOLATIONS: [Violation; 21] = [
    // Alerts
    (RUNNING, "severity: critical", "severity: bad", "has the severity \"bad\""),
    (RUNNING, "summary: \"Prom", "text: \"Prom", "NothingScraped does not say what is wrong"),
    (RUNNING, "#taskrestarts", "#tasks", "TaskRestarts does not lead to"),
    (RUNNING, "alert: TaskRestarts", "alert: TaskPanics", "has no section TaskPanics"),
    (RUNBOOK, "## TaskRestarts", "## Tasks", "Tasks is no alert"),
    (TESTS, "alertname: TaskRestarts, exp_alerts: []", "alertname: X", "not tested not firing"),
    (TESTS, "        alertname: TaskRestarts\n", "", "TaskRestarts is not tested firing"),
    // Dashboards
    (SERVICES, "\"tusk-services\"", "\"a8f3\"", "its uid is not tusk-services"),
    (SERVICES, "\"id\": null", "\"id\": 7", "or it has an id"),
    (SERVICES, "\"title\": \"Services\"", "\"title\": \"Messaging\"", "another one has its title"),
    (SERVICES, "\"type\": \"dashboards\"", "\"type\": \"link\"", "is not linked with the others"),
    (SERVICES, "    \"tusk\"\n", "    \"other\"\n", "is not linked with the others"),
    (SERVICES, "\"description\": \"Resident memory.\"", "\"x\": \"\"", "has no description"),
    (SERVICES, "\"unit\": \"bytes\"", "\"decimals\": 1", "\"Memory\" has no unit"),
    (SERVICES, "\"uid\": \"prometheus\"", "\"uid\": \"other\"", "does not ask \"prometheus\""),
    // Metrics
    (RUNNING, "service_task_restarts_total", "task_restarts", "no metric task_restarts"),
    (
        SERVICES,
        "sum by (job) (rate(service_requests_total",
        "sum(rate(requests_x",
        "no metric requests_x",
    ),
    (RUNNING, "up{part_of=\"tusk\"} == 0", "up == 0", "everybody's metrics in up == 0"),
    // Targets
    (TARGETS, "user-service:3100", "user-service:3001", "user-service is not scraped at"),
    (TARGETS, "job: payment-service", "job: payments", "payments is in services/ no longer"),
    (
        RUNNING,
        "up{part_of=\"tusk\"} == 0",
        "up{part_of=\"tusk\",job=\"user-service\"} == 0",
        "user-service stands in",
    ),
];

#[test]
fn each_violation_is_seen() {
    let files = Files::load();
    for (file, piece, other, expected) in VIOLATIONS {
        let complaints = complaints(&files.with(file, piece, other));
        let is_seen = complaints.iter().any(|complaint| complaint.contains(expected));
        assert!(is_seen, "{other:?} in {file} gave {complaints:?}");
    }
}

#[test]
fn each_rule_has_a_violation() {
    let files = Files::load();
    for (index, rule) in RULES.iter().enumerate() {
        let breaks =
            |(file, piece, other, _): &Violation| !rule(&files.with(file, piece, other)).is_empty();
        assert!(VIOLATIONS.iter().any(breaks), "nothing breaks rule {index}");
    }
}
