//! What a real Prometheus, with the settings of `config/observability`, makes of the running system.

mod dashboards;
mod families;
mod watched;

use serde_json::Value;

use watched::{SERVICES, Watched};

#[tokio::test]
async fn each_service_is_a_target_that_is_up_and_each_rule_is_evaluated_without_error() {
    let watched = Watched::start().await;
    let targets = watched.ask("targets", &[]).await;
    let active = targets["activeTargets"].as_array().unwrap();
    let mut jobs: Vec<_> = active.iter().map(|it| it["labels"]["job"].as_str().unwrap()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, SERVICES);
    for target in active {
        assert_eq!(target["health"], "up", "{target}");
    }
    testkit::eventually("all rules are evaluated", async || {
        let rules = rules(&watched).await;
        assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
        rules.iter().all(|rule| rule["health"] == "ok").then_some(())
    })
    .await;
}

async fn rules(watched: &Watched) -> Vec<Value> {
    let answer = watched.ask("rules", &[]).await;
    let groups = answer["groups"].as_array().unwrap();
    assert!(groups.len() > 1, "{answer}");
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}
