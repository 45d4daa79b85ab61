//! Which services are known, and where.

use crate::files::{Files, items};

const SETTINGS: &str = "prometheus.yml";

/// Under its name in compose, at the port for operators that it has there.
pub(crate) fn each_service_is_scraped_where_it_listens(files: &Files) -> Vec<String> {
    let settings = files.yaml(SETTINGS);
    let targets = items(&settings["scrape_configs"][0]["static_configs"]);
    let mut complaints = Vec::new();
    for (name, port) in &files.services {
        let address = format!("{name}:{port}");
        let is_it = |target: &&serde_json::Value| target["labels"]["job"] == name.as_str();
        let found = targets.iter().find(is_it);
        if found.is_none_or(|target| target["targets"][0] != address) {
            complaints.push(format!("{SETTINGS}: {name} is not scraped at {address}"));
        }
    }
    let is_known = |job: &str| files.services.iter().any(|(name, _)| name == job);
    let jobs = targets.iter().filter_map(|target| target["labels"]["job"].as_str());
    let gone = jobs.filter(|job| !is_known(job));
    complaints.extend(gone.map(|job| format!("{SETTINGS}: {job} is in services/ no longer")));
    complaints
}

/// A new service is in every rule and on every dashboard without a change of them.
pub(crate) fn no_service_is_listed_elsewhere(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (place, expression) in files.expressions() {
        let named = files.services.iter().filter(|(name, _)| expression.contains(name.as_str()));
        complaints.extend(named.map(|(name, _)| format!("{place}: {name} stands in {expression}")));
    }
    complaints
}
