//! What alert rules and dashboards are held to, as far as their text shows it: whom they name, what
//! they say, that they are tested. `cargo dev check` has promtool run the rules' tests; the tests of
//! `e2e` run each panel against the running system.
//!
//! Each rule gives its complaints. `violations` plants one violation of each into the real files, so
//! that no rule is there that cannot fail.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod alerts;
mod dashboards;
mod files;
mod metrics;
mod targets;
#[path = "../shared/texts.rs"]
mod texts;
mod violations;

use files::Files;

/// Gives a line for each place that breaks it.
type Rule = fn(&Files) -> Vec<String>;

const RULES: [Rule; 11] = [
    alerts::each_says_what_is_wrong_how_bad_it_is_and_where_to_read_on,
    alerts::each_has_a_section_of_the_runbook,
    alerts::each_is_tested_firing_and_not_firing,
    dashboards::each_has_a_name_of_its_own_that_stays,
    dashboards::each_leads_to_the_others,
    dashboards::each_panel_explains_itself,
    dashboards::each_query_asks_what_is_provisioned,
    metrics::only_metrics_that_there_are_are_asked_for,
    metrics::only_this_system_is_looked_at,
    targets::each_service_is_scraped_where_it_listens,
    targets::no_service_is_listed_elsewhere,
];

fn complaints(files: &Files) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule(files)).collect()
}

#[test]
fn rules_and_dashboards_keep_every_rule() {
    let complaints = complaints(&Files::load());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
