//! Services replaced, restarted and stopped while callers ask them all the time.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use testkit::native::ProcessId;

use crate::{
    load::Load,
    system::{Servers, System},
};

/// A route of user-service that answers everybody.
const OPEN_ROUTE: &str = "/.well-known/jwks.json";

#[test]
fn no_request_fails_while_a_service_is_replaced_again_and_again() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let load = Load::on(system.port("user-service"), OPEN_ROUTE);
    for _ in 0..3 {
        let old = system.pid("user-service");
        asked(&system, &load);
        system.rebuild("user-service");
        let said = system.succeeds(&["up", "--detach"]);
        assert!(said.contains("replaced user-service: the new one was ready after"), "{said}");
        assert_ne!(system.pid("user-service"), old);
        assert!(!runs(old), "the old one has ended, so that the next answers are the new one's");
        asked(&system, &load);
    }
    load.end();
    let log = fs::read_to_string(system.path(".dev/logs/user-service.log")).unwrap();
    assert_eq!(log.matches("server listening").count(), 4, "the log goes on:\n{log}");
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn a_new_one_that_does_not_become_ready_leaves_the_old_one_at_work() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let old = system.pid("user-service");
    let load = Load::on(system.port("user-service"), OPEN_ROUTE);

    // One that ends.
    let good = become_script(&system, "echo there is no table users; exit 3");
    let output = system.output(&["up", "--detach"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("there is no table users"), "{error}");
    assert!(error.contains("the old one serves on"), "{error}");
    assert_eq!(system.pid("user-service"), old);

    // One that is never ready, until the user loses patience.
    become_script(&system, "exec sleep 1000");
    let mut up = system.start(&["up", "--detach"]);
    system.until("the new one runs", || system.count("sleep") > 0);
    assert!(!up.interrupt());
    assert_eq!(system.count("sleep"), 0, "it is stopped");
    assert_eq!(system.pid("user-service"), old);

    asked(&system, &load);
    fs::rename(good, system.binary("user-service")).unwrap();
    system.rebuild("user-service");
    system.succeeds(&["up", "--detach"]);
    assert_ne!(system.pid("user-service"), old);
    load.end();
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn an_up_that_is_killed_while_it_replaces_is_mended_by_the_next_one() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let load = Load::on(system.port("user-service"), OPEN_ROUTE);

    // Before the new one is ready, with one that never is.
    let old = system.pid("user-service");
    let good = become_script(&system, "exec sleep 1000");
    let mut up = system.start(&["up", "--detach"]);
    system.until("the new one runs", || system.count("sleep") > 0);
    up.kill();
    assert_eq!(system.pids_of("user-service").len(), 2, "{:?}", system.status());
    fs::rename(good, system.binary("user-service")).unwrap();
    mended(&system, old);

    // Once it is, whether or not the old one has been told to end.
    let old = system.pid("user-service");
    let sockets = ["user-service.sock", "user-service.next.sock"];
    let sockets = sockets.map(|name| system.path(".dev/run").join(name));
    system.rebuild("user-service");
    let mut up = system.start(&["up", "--detach"]);
    system.until("both serve, or the old one is gone", || {
        sockets.iter().all(|socket| socket.exists()) || !runs(old)
    });
    up.kill();
    mended(&system, old);
    load.end();
    system.succeeds(&["down"]);
    system.is_down();
}

/// The next `up` leaves one user-service, another one than this.
fn mended(system: &System, old: u64) {
    system.rebuild("user-service");
    system.succeeds(&["up", "--detach"]);
    let left = system.pids_of("user-service");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_ne!(left, [old]);
    assert_eq!(system.count("user-service"), 1);
    system.succeeds(&["status"]);
}

#[test]
fn single_services_are_started_restarted_and_stopped() {
    let servers = Servers::start();
    let system = servers.system();
    for words in [["restart", "user-service"], ["stop", "user-service"]] {
        let error = String::from_utf8(system.output(&words).stderr).unwrap();
        assert!(error.contains("nothing is up"), "{error}");
    }
    // With what it needs, and nothing else.
    system.succeeds(&["up", "--detach", "payment-service"]);
    let payment = system.pid("payment-service");
    let simulator = system.pid("payment-simulator");
    assert!(system.pids_of("user-service").is_empty());
    system.succeeds(&["up", "user-service"]);
    let user = system.pid("user-service");
    assert!(system.pids_of("notification-service").is_empty());
    assert_eq!(system.pid("payment-service"), payment);

    let load = Load::on(system.port("user-service"), OPEN_ROUTE);
    let said = system.succeeds(&["restart", "user-service"]);
    assert!(said.contains("done after"), "{said}");
    let restarted = system.pid("user-service");
    assert_ne!(restarted, user);
    load.end();

    let said = system.succeeds(&["stop", "user-service"]);
    assert!(said.contains("stopped after"), "{said}");
    assert!(!runs(restarted));
    let shown = String::from_utf8(system.output(&["status"]).stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("user-service")).unwrap();
    assert!(line.contains("stopped"), "{shown}");
    assert_eq!(system.pid("payment-service"), payment);
    assert!(system.succeeds(&["stop", "user-service"]).contains("user-service does not run"));

    // Those that are named, and no other; then all.
    system.succeeds(&["up", "notification-service"]);
    assert!(system.pids_of("user-service").is_empty());
    system.succeeds(&["up", "--detach"]);
    assert_eq!(system.pids_of("user-service").len(), 1);
    assert_eq!(system.pid("payment-simulator"), simulator);
    system.succeeds(&["restart", "payment-simulator", "payment-service"]);
    assert_ne!(system.pid("payment-simulator"), simulator);
    assert_ne!(system.pid("payment-service"), payment);

    for (words, why) in [
        (["restart", "users"], "user-service, payment-service, notification-service"),
        (["stop", "postgres"], "servers start and stop with the whole system"),
        (["up", "users"], "user-service, payment-service, notification-service"),
    ] {
        let error = String::from_utf8(system.output(&words).stderr).unwrap();
        assert!(error.contains(why), "{error}");
    }
    system.succeeds(&["down"]);
    system.is_down();
}

/// Puts a script in the place of user-service that says that its settings are valid and then does this;
/// gives where the binary is meanwhile.
fn become_script(system: &System, what: &str) -> PathBuf {
    let binary = system.binary("user-service");
    let aside = system.path("target/user-service");
    if !aside.exists() {
        fs::rename(&binary, &aside).unwrap();
    }
    let script = format!("#!/bin/sh\n[ \"$1\" = --check-config ] && exit 0\n{what}\n");
    write_program(&binary, &script);
    aside
}

/// Writes a script in one step.
pub(crate) fn write_program(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, path).unwrap();
}

/// Waits until the callers have got some more answers.
fn asked(system: &System, load: &Load) {
    let answers = load.answers();
    system.until("more answers", || load.answers() > answers + 50);
}

fn runs(pid: u64) -> bool {
    ProcessId::of(u32::try_from(pid).unwrap()).is_some_and(ProcessId::is_running)
}
