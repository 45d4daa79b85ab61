//! What docker-compose.yml has to leave the services.

use std::time::Duration;

use serde_json::Value;

use crate::system::{self, System};

/// What is spared between the end of a service's own grace period and the kill.
const SPARE: Duration = Duration::from_secs(10);
const FILE: &str = "docker-compose.yml";

/// The services that are killed before they have ended by themselves.
fn killed(compose: &str) -> Vec<String> {
    let compose: Value = serde_saphyr::from_str(compose).unwrap();
    let services = System::load().services.into_iter().filter(|service| {
        let seconds = compose["services"][&service.name]["stop_grace_period"].as_str();
        // What compose gives a container that says nothing.
        let seconds = seconds.map_or(Some(10), |text| text.strip_suffix('s')?.parse().ok());
        seconds.map(Duration::from_secs) < Some(service.grace_period + SPARE)
    });
    services.map(|service| service.name).collect()
}

#[test]
fn a_composed_service_may_take_its_grace_period_to_end() {
    let compose = system::text(FILE);
    assert!(killed(&compose).is_empty(), "{:?} in {FILE}", killed(&compose));
    for (line, planted) in [
        ("stop_grace_period: 35s", "stop_grace_period: 30s"),
        ("stop_grace_period: 35s", "init: false"),
    ] {
        let planted = compose.replace(line, planted);
        assert_ne!(planted, compose);
        assert_eq!(killed(&planted).len(), system::folders("services").len());
    }
}
