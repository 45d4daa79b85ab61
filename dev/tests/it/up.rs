//! `cargo dev up` on a system that is up, changed, half up, or that somebody else changes meanwhile.

use std::fs;

use testkit::native::{Postgres, ProcessId, ServerOptions, Signal};

use crate::system::{Running, Servers, System};

#[test]
fn up_replaces_exactly_what_changed() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let [user, payment, notification, simulator] = system.pids();
    assert!(system.succeeds(&["up", "--detach"]).contains("everything is up already"));
    assert_eq!(system.pids(), [user, payment, notification, simulator]);

    let settings = system.path("config/notification-service.tsk");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\n# Changed.\n")).unwrap();
    assert_eq!(outdated(&system), [("notification-service".to_owned(), "settings".to_owned())]);
    system.succeeds(&["up", "--detach"]);
    let [_, _, after, _] = system.pids();
    assert_ne!(after, notification);
    assert_eq!(system.pids(), [user, payment, after, simulator]);
    let notification = after;

    system.rebuild("payment-service");
    assert_eq!(outdated(&system), [("payment-service".to_owned(), "binary".to_owned())]);
    let shown = String::from_utf8(system.output(&["status"]).stdout).unwrap();
    assert!(shown.contains("ready, older than its binary"), "{shown}");
    system.succeeds(&["up", "--detach"]);
    let [_, after, _, _] = system.pids();
    assert_ne!(after, payment);
    assert_eq!(system.pids(), [user, after, notification, simulator]);
    let payment = after;

    // What all services read, by a variable; the simulator reads none of it.
    let system = system.with("LOG_FORMAT", "human");
    system.succeeds(&["up", "--detach"]);
    let after = system.pids();
    assert_eq!(after[3], simulator);
    assert!([user, payment, notification].iter().all(|old| !after.contains(old)), "{after:?}");
    assert_eq!(outdated(&system), []);

    // What no service could start with stops none, and neither does what one could not.
    assert!(text.contains("concurrency_limit:"));
    let misspelt = text.replace("concurrency_limit:", "concurency_limit:");
    for faulty in [format!("{text}\n[[[\n"), misspelt] {
        fs::write(&settings, faulty).unwrap();
        assert!(!system.output(&["up", "--detach"]).status.success());
        assert_eq!(system.pids(), after);
    }

    // What runs is found again when nobody can tell from the state what it was.
    fs::write(&settings, &text).unwrap();
    let state = system.path(".dev/state.json");
    fs::write(&state, &fs::read(&state).unwrap()[..300]).unwrap();
    system.succeeds(&["up", "--detach"]);
    is_known(&system);
    assert!(system.pids().iter().all(|pid| !after.contains(pid)), "{:?}", system.pids());
    assert!(state.with_extension("json.broken").exists());
    fs::write(&state, "").unwrap();

    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn ctrl_c_of_up_ends_what_another_up_has_replaced() {
    let servers = Servers::start();
    let system = servers.system();
    let mut foreground = system.start(&["up"]);
    system.until("the first `up` watches", || system.said().contains("Ctrl-C stops everything"));
    let old = system.pid("payment-service");
    ProcessId::of(u32::try_from(old).unwrap()).unwrap().signal(Signal::KILL).unwrap();
    system.until("the first `up` notices", || system.said().contains("payment-service ended"));

    system.succeeds(&["up", "--detach"]);
    system.rebuild("user-service");
    system.succeeds(&["up", "--detach"]);
    assert_ne!(system.pid("payment-service"), old);
    assert!(foreground.interrupt(), "{}", system.said());
    system.is_down();
    // That it was replaced on purpose is no news.
    assert!(!system.said().contains("user-service ended"), "{}", system.said());
}

#[test]
fn whatever_a_killed_up_has_started_is_found_again() {
    let system = System::new();
    // Before anything is written down: while the servers start, and once the slowest does.
    for program in ["redis-server", "beam.smp"] {
        let mut up = system.start(&["up", "--detach"]);
        system.until(program, || system.count(program) > 0);
        up.kill();
        is_known(&system);
    }
    system.succeeds(&["down"]);
    system.is_down();

    // While services start, also in the foreground; the second one starts from what is left.
    let mut up = system.start(&["up"]);
    system.until("a service", || system.count("user-service") > 0);
    up.kill();
    is_known(&system);
    let mut both = [system.start(&["up", "--detach"]), system.start(&["up", "--detach"])];
    let outcomes = both.each_mut().map(Running::wait);
    assert!(outcomes.contains(&true), "{}", system.said());
    is_known(&system);
    assert!(system.path(".dev/rabbitmq/data/version").exists(), "of which version its data is");
    system.succeeds(&["status"]);
    for program in ["redis-server", "beam.smp", "epmd", "user-service", "payment-service"] {
        assert_eq!(system.count(program), 1, "{program}");
    }
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn data_of_another_version_of_postgresql_is_left_alone_and_it_is_said_what_to_do() {
    let system = System::new();
    let folder = system.path(".dev/postgres");
    let data = Postgres::start(&ServerOptions::kept(&folder)).unwrap().folder().join("data");
    fs::write(data.join("PG_VERSION"), "14\n").unwrap();
    let output = system.output(&["up", "--detach"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains(&format!("delete {}", folder.display())), "{error}");
    assert!(data.join("global").exists());
    system.is_down();
}

/// `cargo dev status` names every process that runs, and no server runs twice on the same data.
pub(crate) fn is_known(system: &System) {
    let status = system.status();
    let known = |name: &str| status.iter().any(|line| line["name"] == name);
    for (program, name) in [
        ("postgres", "postgres"),
        ("redis-server", "redis"),
        ("beam.smp", "rabbitmq"),
        ("epmd", "epmd"),
        ("payment-simulat", "payment-simulator"),
        ("dev-proxy", "dev-proxy"),
        ("user-service", "user-service"),
        ("payment-service", "payment-service"),
        ("notification-se", "notification-service"),
    ] {
        // RabbitMQ's script starts another one for a moment to ask it something.
        system.until(&format!("{program} runs once at most"), || system.count(program) <= 1);
        let count = system.count(program);
        assert!(count == 0 || known(name), "{name} runs, and is not in {status:?}");
    }
}

/// The services that are older than what they are made of, and what of it has changed.
fn outdated(system: &System) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let of = |line: &serde_json::Value| {
        let changed = line["older_than"].as_array().cloned().unwrap_or_default();
        changed.iter().map(|what| (text(&line["name"]), text(what))).collect::<Vec<_>>()
    };
    system.status().iter().flat_map(of).collect()
}
