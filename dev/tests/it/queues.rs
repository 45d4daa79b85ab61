//! `cargo dev queues` and `cargo dev calls` on a system of which one service is down.

use serde_json::Value;
use testkit::native::{ProcessId, Signal};

use crate::system::{Servers, System};

#[test]
fn queues_and_calls_of_running_services_are_shown_when_one_service_is_down() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let all: Vec<Value> =
        serde_json::from_str(&system.succeeds(&["queues", "list", "--json"])).unwrap();
    assert_eq!(all.len(), 3, "{all:?}");
    for words in [&["replay"][..], &["discard"], &["discard", "--yes"]] {
        let output = system.output(&[&["queues"], words, &["--id", "no-such-id"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("no dead letter that was looked at"), "{words:?}: {errors}");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
    stop(&system, "notification-service");

    let listed = system.output(&["queues", "list", "--json"]);
    let answers: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |name: &str| answers.iter().find(|answer| answer["service"] == name).unwrap();
    for service in ["user-service", "payment-service"] {
        assert_eq!(of(service)["dead_letters"], 0, "{answers:?}");
    }
    assert_eq!(of("notification-service")["error"], "it does not run");
    assert_eq!(listed.status.code(), Some(1), "the answer is not complete");

    for words in [&["list"][..], &["replay", "--all"], &["discard", "--all", "--yes"]] {
        let output = system.output(&[&["queues"], words].concat());
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains("payment-service.events"), "{words:?}: {printed}");
        assert!(errors.contains("notification-service: it does not run"), "{words:?}: {errors}");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
    let peeked = system.output(&["queues", "peek", "no-such-id"]);
    let errors = String::from_utf8_lossy(&peeked.stderr);
    assert!(errors.contains("notification-service: it does not run"), "{errors}");
    let one = system.output(&["queues", "list", "--service", "user-service"]);
    assert!(one.status.success(), "whoever did not ask for it is not told of it");
    calls_are_shown_and_forced(&system);
}

fn calls_are_shown_and_forced(system: &System) {
    let shown = system.output(&["calls", "--json"]);
    assert_eq!(shown.status.code(), Some(1), "the answer is not complete");
    let calls: Vec<Value> = serde_json::from_slice(&shown.stdout).unwrap();
    let of = |name: &str| calls.iter().find(|answer| answer["caller"] == name).unwrap();
    assert_eq!(of("notification-service")["error"], "it does not run");
    let targets = of("payment-service")["targets"].as_array().unwrap();
    let names: Vec<_> = targets.iter().map(|target| &target["target"]).collect();
    assert_eq!(names, ["payment-provider", "user-service"]);

    let breaker = ["payment-service", "user-service"];
    let forced = system.succeeds(&[&["calls", "open"][..], &breaker, &["--for", "60"]].concat());
    assert!(forced.contains("open!"), "{forced}");
    let shown = system.succeeds(&["calls", "--service", "payment-service"]);
    assert!(shown.contains("open!") && shown.contains("it is forced, until"), "{shown}");
    let released = system.succeeds(&[&["calls", "automatic"][..], &breaker].concat());
    assert!(released.contains("closed") && !released.contains('!'), "{released}");
    let unknown = system.output(&["calls", "close", "payment-service", "nobody"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("404"), "{unknown:?}");
}

fn stop(system: &System, service: &str) {
    let pid = u32::try_from(system.pid(service)).unwrap();
    ProcessId::of(pid).unwrap().signal(Signal::KILL).unwrap();
    system.until("the service is gone", || ProcessId::of(pid).is_none_or(|id| !id.is_running()));
}
