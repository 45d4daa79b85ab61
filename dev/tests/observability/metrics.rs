//! What expressions ask for.

use std::collections::BTreeSet;

use crate::files::Files;

/// METRICS.md is what the running system shows: a test of `e2e` holds it to that. Besides, there is
/// what Prometheus says itself, and what rules record.
pub(crate) fn only_metrics_that_there_are_are_asked_for(files: &Files) -> Vec<String> {
    let mut known: BTreeSet<String> = families(files.text("METRICS.md"));
    known.insert("up".to_owned());
    let recorded = files.rules().into_iter();
    known.extend(recorded.filter_map(|rule| Some(rule.yaml["record"].as_str()?.to_owned())));
    let mut complaints = Vec::new();
    for (place, expression) in files.expressions() {
        let unknown = asked_for(&expression).into_iter().filter(|metric| !known.contains(metric));
        complaints.extend(unknown.map(|metric| format!("{place}: there is no metric {metric}")));
    }
    complaints
}

/// In a Prometheus that scrapes others too. What is compared with ours is ours: the labels say so.
pub(crate) fn only_this_system_is_looked_at(files: &Files) -> Vec<String> {
    let all = files.expressions().into_iter();
    let foreign = all.filter(|(_, expression)| {
        let is_recorded = expression.contains("job:");
        !is_recorded && !expression.contains("part_of=\"tusk\"")
    });
    foreign
        .map(|(place, expression)| format!("{place}: everybody's metrics in {expression}"))
        .collect()
}

/// The families named in METRICS.md, histograms with their parts.
fn families(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let names = quoted.map(|quoted| quoted.split('{').next().unwrap_or_default());
    let parts = names
        .flat_map(|name| ["", "_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
    parts.collect()
}

/// The metrics in an expression: the words that are followed by labels or a window, or that have an
/// underscore and are no function; without what is said of labels.
fn asked_for(expression: &str) -> BTreeSet<String> {
    let mut metrics = BTreeSet::new();
    let text = without_labels(expression);
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let word = &rest[start..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
        let end = word.find(|c: char| !is_part(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let is_function = after.trim_start().starts_with('(');
        if !is_function && (word.contains(['_', ':']) || word == "up") {
            metrics.insert(word.to_owned());
        }
        rest = after;
    }
    metrics
}

/// The expression without `{…}`, `[…]`, `by (…)`, `ignoring (…)` and the like.
fn without_labels(expression: &str) -> String {
    let mut text = expression.to_owned();
    for (begin, end) in [
        ("{", "}"),
        ("[", "]"),
        ("by (", ")"),
        ("ignoring (", ")"),
        ("on (", ")"),
        ("group_left (", ")"),
        (", ", ")"),
    ] {
        // The last is the label in `label_values(metric, label)`.
        if begin == ", " && !text.starts_with("label_values") {
            continue;
        }
        while let Some((before, rest)) = text.split_once(begin) {
            let (_, after) = rest.split_once(end).unwrap();
            text = format!("{before} {after}");
        }
    }
    text
}

#[test]
fn metrics_are_distinguished_from_functions_and_labels() {
    let expression = "histogram_quantile(0.95, sum by (job, my_label) (rate(a_bucket{b_c=\"d_e\"}[$__rate_interval]))) \
        / ignoring (x_y) z_max or vector(0) > up";
    let metrics: Vec<String> = asked_for(expression).into_iter().collect();
    assert_eq!(metrics, ["a_bucket", "up", "z_max"]);
    let metrics: Vec<String> = asked_for("label_values(up{a=\"b\"}, c_d)").into_iter().collect();
    assert_eq!(metrics, ["up"]);
}
