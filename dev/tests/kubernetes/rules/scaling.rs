//! How many there are of each service.

use serde_json::{Value, json};

use super::unless;
use crate::{
    objects::{Objects, selects},
    system::System,
};

/// `auto_scaling`: an autoscaler says how many; a fixed number beside it would undo it at every
/// deployment. Without: the fixed number alone.
pub(super) fn autoscalers_have_the_numbers_of_the_settings(
    objects: &Objects,
    system: &System,
) -> Vec<String> {
    let (expected, replicas) = if system.scales_by_itself() {
        (numbers(system), Value::Null)
    } else {
        (Value::Null, json!(system.scaling("min_instances")))
    };
    let mut complaints = Vec::new();
    for service in &system.services {
        let name = &service.name;
        let found = &objects.get("HorizontalPodAutoscaler", name)["spec"];
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
        let numbers = if found.is_null() {
            Value::Null
        } else {
            json!([found["minReplicas"], found["maxReplicas"], found["metrics"]])
        };
        complaints.extend(unless(numbers == expected, || {
            format!("{name}: has {numbers}, and config/scaling.tsk {expected}")
        }));
        complaints.extend(unless(found.is_null() || found["scaleTargetRef"] == target, || {
            format!("{name}: its autoscaler scales something else")
        }));
        let fixed = &objects.get("Deployment", name)["spec"]["replicas"];
        complaints.extend(unless(*fixed == replicas, || {
            format!("{name}: replicas is {fixed}, not {replicas}")
        }));
    }
    complaints
}

/// Least, most, and what is measured.
fn numbers(system: &System) -> Value {
    let metric = |name: &str| {
        let percent = system.scaling(&format!("{name}_threshold"));
        let target = json!({ "type": "Utilization", "averageUtilization": percent });
        json!({ "type": "Resource", "resource": { "name": name, "target": target } })
    };
    let number = |key| system.scaling(key);
    json!([number("min_instances"), number("max_instances"), [metric("cpu"), metric("memory")]])
}

/// Else a node that is drained may take them all.
pub(super) fn one_replica_at_a_time_may_be_taken(
    objects: &Objects,
    system: &System,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for service in &system.services {
        let labels = &objects.get("Deployment", &service.name)["spec"]["template"]["metadata"];
        let budgets = objects.of("PodDisruptionBudget").map(|budget| &budget["spec"]);
        let ours: Vec<&Value> = budgets
            .filter(|spec| selects(&spec["selector"]["matchLabels"], &labels["labels"]))
            .collect();
        // A pod with two budgets cannot be evicted at all.
        complaints.extend(unless(ours.len() == 1, || {
            format!("{}: {} budgets select it, not one", service.name, ours.len())
        }));
        complaints.extend(unless(ours.iter().all(|spec| spec["maxUnavailable"] == 1), || {
            format!("{}: its budget is not one replica", service.name)
        }));
    }
    complaints
}
