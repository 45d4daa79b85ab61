//! What a dashboard is held to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{Files, items};

const FOLDER: &str = "grafana/dashboards/";

/// The name of the file is its address in Grafana; a number of Grafana's own would be another one in
/// each.
pub(crate) fn each_has_a_name_of_its_own_that_stays(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut titles = BTreeSet::new();
    for (file, dashboard) in files.of(FOLDER) {
        let name = file.strip_prefix(FOLDER).unwrap().strip_suffix(".json").unwrap();
        let uid = format!("tusk-{name}");
        if dashboard["uid"] != uid || !dashboard["id"].is_null() {
            complaints.push(format!("{file}: its uid is not {uid}, or it has an id"));
        }
        if !titles.insert(dashboard["title"].to_string()) {
            complaints.push(format!("{file}: another one has its title"));
        }
    }
    complaints
}

/// By their tag, so that a new one is among them.
pub(crate) fn each_leads_to_the_others(files: &Files) -> Vec<String> {
    let is_led = |dashboard: &Value| {
        let is_tagged = items(&dashboard["tags"]).iter().any(|tag| tag == "tusk");
        let mut links = items(&dashboard["links"]).iter();
        is_tagged && links.any(|it| it["type"] == "dashboards" && it["tags"][0] == "tusk")
    };
    let all = files.of(FOLDER).filter(|(_, dashboard)| !is_led(dashboard));
    all.map(|(file, _)| format!("{file}: it is not linked with the others")).collect()
}

/// A title, a unit, and what it means.
pub(crate) fn each_panel_explains_itself(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (file, dashboard) in files.of(FOLDER) {
        let panels = items(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row");
        for panel in panels {
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            for (what, value) in
                [("title", &panel["title"]), ("description", &panel["description"]), ("unit", unit)]
            {
                if value.as_str().is_none_or(str::is_empty) {
                    complaints.push(format!("{file}: {} has no {what}", panel["title"]));
                }
            }
        }
    }
    complaints
}

pub(crate) fn each_query_asks_what_is_provisioned(files: &Files) -> Vec<String> {
    let provisioned = files.yaml("grafana/provisioning/datasources/prometheus.yml");
    let source = &provisioned["datasources"][0]["uid"];
    let mut complaints = Vec::new();
    for (file, dashboard) in files.of(FOLDER) {
        let panels = items(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row");
        let variables = items(&dashboard["templating"]["list"]).iter();
        let asking = panels.chain(variables).filter(|it| it["datasource"]["uid"] != *source);
        complaints.extend(asking.map(|it| {
            let name = if it["title"].is_null() { &it["name"] } else { &it["title"] };
            format!("{file}: {name} does not ask {source}")
        }));
    }
    complaints
}
