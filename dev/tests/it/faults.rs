//! `cargo dev fault` on whole systems: what services meet, and that it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::native::{ProcessId, Signal};

use crate::system::{Servers, System};

#[test]
fn faults_of_servers_services_and_the_provider_are_met_told_and_mended() {
    let system = System::new();
    system.succeeds(&["up", "--detach"]);
    let user_service = format!("http://127.0.0.1:{}", system.port("user-service"));

    // Slow: a request waits for PostgreSQL there and back.
    let said = fault(&system, &["slow", "postgres", "--by", "200ms"]);
    assert!(said.starts_with("postgres is slow by 200 ms; `cargo dev fault stop"), "{said}");
    let by = Duration::from_millis(400);
    system.until("requests are slow", || register(&user_service) >= by);
    assert_eq!(faults(&system)[0]["by_ms"], 200);
    let shown = String::from_utf8(system.output(&["status"]).stdout).unwrap();
    assert!(shown.contains("slow by 200 ms on purpose"), "{shown}");
    let examined = String::from_utf8(system.output(&["doctor"]).stdout).unwrap();
    assert!(examined.contains("on purpose: postgres slow by 200 ms"), "{examined}");
    fault(&system, &["stop", "postgres"]);
    system.until("requests are quick", || register(&user_service) < by);

    // Frozen: services do without Redis, also when it is frozen for good and `up` mends it.
    fault(&system, &["freeze", "redis"]);
    assert_eq!(line(&system, "redis")["fault"], "frozen");
    assert_eq!(line(&system, "redis")["ready"], false);
    register(&user_service);
    let said = system.succeeds(&["up", "--detach"]);
    assert!(said.contains("redis is no longer frozen"), "{said}");
    system.succeeds(&["status"]);
    // A process that stands still for a time runs on although nobody waits for it.
    let said = fault(&system, &["freeze", "user-service", "--for", "1s"]);
    assert!(said.contains(" until "), "{said}");
    system.until("it runs on", || faults(&system).is_empty());
    register(&user_service);

    // Cut: health says so, and events arrive after.
    fault(&system, &["cut", "rabbitmq", "--for", "1h"]);
    let is_connected = || {
        let health = get(&format!("{user_service}/health"));
        health["checks"]["rabbitmq"] == true
    };
    system.until("health tells", || !is_connected());
    register(&user_service);
    fault(&system, &["stop", "--all"]);
    system.until("health tells", is_connected);

    // Killed: nobody starts it but `up`.
    let old = system.pid("payment-service");
    let said = fault(&system, &["kill", "payment-service"]);
    assert!(said.contains("cargo dev up --detach"), "{said}");
    assert!(!runs(old));
    assert_eq!(line(&system, "payment-service")["running"], false);
    system.succeeds(&["up", "--detach"]);
    assert_ne!(system.pid("payment-service"), old);

    // The provider: every card is declined.
    fault(&system, &["provider", "decline", "--code", "lost_card"]);
    let smoke = String::from_utf8(system.output(&["smoke"]).stdout).unwrap();
    assert!(smoke.contains("FAIL pay with a good card"), "{smoke}");
    // A fault is no setting: nothing is older than it, and who replaces a service replaces that one alone.
    let untouched = ["dev-proxy", "payment-simulator", "user-service"];
    let before = untouched.map(|name| system.pid(name));
    let is_old = |line: &Value| line["older_than"].as_array().is_some_and(|it| !it.is_empty());
    assert!(!system.status().iter().any(is_old), "{:?}", system.status());
    system.succeeds(&["restart", "payment-service"]);
    assert_eq!(untouched.map(|name| system.pid(name)), before);
    fault(&system, &["stop", "provider"]);

    // A poison message is given up on with its cause, and by nobody else.
    let said = fault(&system, &["poison", "payment-service"]);
    let id = said.lines().next().unwrap().rsplit_once(": ").unwrap().1.to_owned();
    let mut dead_letters = Vec::new();
    system.until("it is dead-lettered", || {
        let listed: Vec<Value> =
            serde_json::from_slice(&system.output(&["queues", "list", "--json"]).stdout).unwrap();
        let items = listed.iter().filter_map(|queue| queue["items"].as_array().cloned());
        dead_letters = items.flatten().collect();
        !dead_letters.is_empty()
    });
    assert_eq!(dead_letters.len(), 1, "{dead_letters:?}");
    assert_eq!(
        (&dead_letters[0]["id"], &dead_letters[0]["type"]),
        (&json!(id), &json!("user.created"))
    );
    assert!(dead_letters[0]["cause"].as_str().is_some_and(|cause| !cause.is_empty()));
    system.succeeds(&["smoke"]);

    // A command that was killed leaves what stands still; `down` ends it all the same.
    let words = ["fault", "schedule", "--seed", "1", "--for", "1h", "--pause", "0s"];
    let mut schedule = system.start(&words);
    system.until("a fault is on", || !faults(&system).is_empty() || is_short_of_one(&system));
    schedule.kill();
    fault(&system, &["freeze", "postgres"]);
    fault(&system, &["freeze", "payment-service", "--for", "1h"]);
    fault(&system, &["cut", "redis"]);
    let said = system.succeeds(&["down"]);
    assert!(said.contains("postgres is no longer frozen"), "{said}");
    assert!(!said.contains("killed"), "{said}");
    system.is_down();
    assert!(!system.path(".dev/faults.json").exists());
}

#[test]
fn a_schedule_leaves_a_system_on_servers_of_others_well() {
    let servers = Servers::start();
    let system = servers.system();
    let error = String::from_utf8(system.output(&["fault", "freeze", "redis"]).stderr).unwrap();
    assert!(error.contains("nothing is up"), "{error}");
    system.succeeds(&["up", "--detach"]);

    // What is not ours is not killed, and stands still on the way to it.
    let error = String::from_utf8(system.output(&["fault", "kill", "postgres"]).stderr).unwrap();
    assert!(error.contains("no postgres of ours runs here"), "{error}");
    let error = String::from_utf8(system.output(&["fault", "cut", "postgre"]).stderr).unwrap();
    assert!(error.contains("`postgre` is none of notification-service, "), "{error}");
    fault(&system, &["freeze", "rabbitmq"]);
    assert_eq!(faults(&system)[0]["process"], Value::Null);
    fault(&system, &["stop", "rabbitmq"]);

    // The proxy that was killed is there again, at the same ports: no service is replaced.
    let pids = system.pids();
    let proxy = system.pid("dev-proxy");
    ProcessId::of(u32::try_from(proxy).unwrap()).unwrap().signal(Signal::KILL).unwrap();
    system.until("it is gone", || !runs(proxy));
    let error = String::from_utf8(system.output(&["fault", "cut", "redis"]).stderr).unwrap();
    assert!(error.contains("dev-proxy, through which services reach redis"), "{error}");
    system.succeeds(&["up", "--detach"]);
    assert_eq!(system.pids(), pids);
    assert_ne!(system.pid("dev-proxy"), proxy);

    let words = ["fault", "schedule", "--seed", "5", "--for", "9s", "--pause", "0s"];
    let plan = |words: &[&str]| {
        let said = system.succeeds(&[words, &["--dry-run"]].concat());
        said.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(plan(&words), plan(&words));
    let said = system.succeeds(&words);
    assert!(said.contains("every service is well after"), "{said}");
    for step in plan(&words) {
        let step = step.split_once(". ").unwrap().1.to_owned();
        assert_eq!(said.matches(&step).count(), 2, "planned and done: {step}\n{said}");
    }
    assert_eq!(faults(&system), Vec::<Value>::new());
    // A connection that broke while nobody used it costs the request that finds it a 503.
    system.until("the scenario is walked", || system.output(&["smoke"]).status.success());

    // Ctrl-C ends the fault that is on.
    let words = ["fault", "schedule", "--seed", "5", "--for", "1h", "--pause", "0s"];
    let mut schedule = system.start(&words);
    system.until("a fault is on", || !faults(&system).is_empty() || is_short_of_one(&system));
    assert!(schedule.interrupt(), "{}", said_by_fault(&system));
    assert_eq!(faults(&system), Vec::<Value>::new());
    system.succeeds(&["status"]);
    system.succeeds(&["down"]);
    system.is_down();
}

fn is_short_of_one(system: &System) -> bool {
    system.status().iter().any(|line| line["running"] == false)
}

fn said_by_fault(system: &System) -> String {
    std::fs::read_to_string(system.path("fault.log")).unwrap_or_default()
}

fn fault(system: &System, words: &[&str]) -> String {
    system.succeeds(&[&["fault"], words].concat())
}

fn faults(system: &System) -> Vec<Value> {
    serde_json::from_str(&system.succeeds(&["fault", "list", "--json"])).unwrap()
}

/// The line of `cargo dev status` about a process.
fn line(system: &System, name: &str) -> Value {
    let status = system.status();
    let line = status.iter().find(|line| line["name"] == name);
    line.unwrap_or_else(|| panic!("{name} is not in {status:?}")).clone()
}

/// Registers a user; gives how long that took.
fn register(user_service: &str) -> Duration {
    thread_local!(static NUMBER: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    let number = NUMBER.replace(NUMBER.get() + 1);
    let body = json!({
        "email": format!("fault-{number}@example.com"),
        "name": "Fault",
        "password": "a-password-for-this-test",
    });
    let begin = Instant::now();
    let url = format!("{user_service}/api/users");
    let answer = ureq::post(url).header("content-type", "application/json").send(body.to_string());
    assert_eq!(answer.unwrap().status(), 201);
    begin.elapsed()
}

/// What a GET answers, whatever its status; null when nobody does.
fn get(url: &str) -> Value {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
    let answer = ureq::Agent::new_with_config(agent).get(url).call();
    let text = answer.ok().and_then(|mut answer| answer.body_mut().read_to_string().ok());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn runs(pid: u64) -> bool {
    ProcessId::of(u32::try_from(pid).unwrap()).is_some_and(ProcessId::is_running)
}
