//! What an alert has to bring with it.

use std::collections::BTreeSet;

use crate::files::{AlertRule, Files, items};

const RUNBOOK: &str = "RUNBOOK.md";

fn alerts(files: &Files) -> impl Iterator<Item = (String, AlertRule)> {
    let rules = files.rules().into_iter();
    rules.filter_map(|rule| Some((rule.alert.clone()?, rule)))
}

/// Who is woken reads two lines on a telephone.
pub(crate) fn each_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(
    files: &Files,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, rule) in alerts(files) {
        let complaint = |what: String| format!("{}: {name} {what}", rule.file);
        let severity = &rule.yaml["labels"]["severity"];
        if severity != "critical" && severity != "warning" {
            complaints.push(complaint(format!("has the severity {severity}")));
        }
        let annotations = &rule.yaml["annotations"];
        if annotations["summary"].as_str().is_none_or(str::is_empty) {
            complaints.push(complaint("does not say what is wrong".to_owned()));
        }
        let place = format!("config/observability/{RUNBOOK}#{}", name.to_lowercase());
        if annotations["runbook"] != place {
            complaints.push(complaint(format!("does not lead to {place}")));
        }
    }
    complaints
}

/// And no section is of an alert that is gone.
pub(crate) fn each_has_a_section_of_the_runbook(files: &Files) -> Vec<String> {
    let lines = files.text(RUNBOOK).lines();
    let sections: BTreeSet<&str> = lines.filter_map(|line| line.strip_prefix("## ")).collect();
    let names: BTreeSet<String> = alerts(files).map(|(name, _)| name).collect();
    let missing = names.iter().filter(|name| !sections.contains(name.as_str()));
    let missing = missing.map(|name| format!("{RUNBOOK} has no section {name}"));
    let gone = sections.iter().filter(|section| !names.contains(**section));
    let gone = gone.map(|section| format!("{RUNBOOK}: {section} is no alert"));
    missing.chain(gone).collect()
}

/// In one file of tests for each file of rules; promtool says whether they pass.
pub(crate) fn each_is_tested_firing_and_not_firing(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, rule) in alerts(files) {
        let tests = files.yaml(&rule.file.replace("rules/", "tests/"));
        let cases = items(&tests["tests"]).iter().flat_map(|test| items(&test["alert_rule_test"]));
        let (mut fires, mut rests) = (false, false);
        for case in cases.filter(|case| case["alertname"] == name) {
            let is_firing = !items(&case["exp_alerts"]).is_empty();
            fires |= is_firing;
            rests |= !is_firing;
        }
        let missing = [(fires, "firing"), (rests, "not firing")].into_iter();
        let missing = missing.filter(|(is_there, _)| !is_there);
        complaints.extend(missing.map(|(_, what)| format!("{name} is not tested {what}")));
    }
    complaints
}
