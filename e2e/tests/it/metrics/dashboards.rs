//! The dashboards: each query of each panel, as Grafana would ask it.

use std::path::PathBuf;

use serde_json::Value;
use testkit::config_dir;

use super::watched::Watched;

#[tokio::test]
async fn after_a_scenario_no_panel_is_empty_or_in_error() {
    let watched = Watched::start().await;
    watched.walk_the_scenario().await;
    let mut empty = Vec::new();
    let mut asked = 0;
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for query in variables(&dashboard) {
            let series = watched.ask("series", &[("match[]", &query)]).await;
            assert!(!series.as_array().unwrap().is_empty(), "{query}");
        }
        for (panel, query) in queries(&dashboard) {
            asked += 1;
            let samples = watched.query(&filled_in(&query)).await;
            let is_number = |sample: &Value| sample["value"][1] != "NaN";
            if !samples.iter().any(is_number) {
                empty.push(format!("{} / {panel}: {query}", dashboard["title"]));
            }
        }
    }
    assert!(asked > 20, "{asked} queries");
    assert!(empty.is_empty(), "of {asked} queries these found nothing:\n{}", empty.join("\n"));
}

fn files() -> Vec<PathBuf> {
    let folder = config_dir().join("observability/grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect()
}

/// The title of each panel with each of its queries.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&panel["title"]), text(&target["expr"]))
        })
    });
    targets.collect()
}

/// The selectors in `label_values(selector, label)` of the dashboard's variables.
fn variables(dashboard: &Value) -> Vec<String> {
    let list = dashboard["templating"]["list"].as_array().unwrap();
    let selector = |variable: &Value| {
        let query = variable["query"].as_str().unwrap();
        let (inner, _) = query.strip_prefix("label_values(").unwrap().rsplit_once(',').unwrap();
        inner.to_owned()
    };
    list.iter().map(selector).collect()
}

/// As for "All" of each variable, and a window that the test has filled.
fn filled_in(query: &str) -> String {
    let query = query.replace("$__rate_interval", "1m").replace("$job", ".*");
    assert!(!query.contains('$'), "an unknown variable in {query}");
    query
}
