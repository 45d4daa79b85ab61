//! `cargo dev up --watch`: what is saved is built once, and only what has changed is replaced.

use std::fs;

use crate::{
    load::Load,
    replace::write_program,
    system::{Servers, System},
};

/// Stands for cargo: reads the source when it begins, waits while there is a file `slow`, fails on a
/// source that says so, and writes another binary when the source is another one than the last time.
const CARGO: &str = "#!/bin/sh
source=services/user-service/src/lib.rs
cp $source target/read
echo build >> builds
while [ -e slow ]; do sleep 0.02; done
if grep -q broken target/read; then
  echo 'error: expected one of `!` or `::`' >&2
  exit 101
fi
if ! cmp -s target/read target/built; then
  mv target/read target/built
  cp target/debug/user-service target/debug/new && mv target/debug/new target/debug/user-service
fi
";
const SOURCE: &str = "services/user-service/src/lib.rs";

fn builds(system: &System) -> usize {
    fs::read_to_string(system.path("builds")).unwrap_or_default().lines().count()
}

/// As most editors save.
fn save(system: &System, file: &str, text: &str) {
    let new = system.path(&format!("{file}~"));
    fs::write(&new, text).unwrap();
    fs::rename(new, system.path(file)).unwrap();
}

fn watched(system: System) -> System {
    let cargo = system.path("cargo");
    write_program(&cargo, CARGO);
    fs::create_dir_all(system.path("services/user-service/src")).unwrap();
    fs::create_dir_all(system.path("target")).unwrap();
    fs::write(system.path(SOURCE), "// 0\n").unwrap();
    fs::write(system.path("target/built"), "// 0\n").unwrap();
    system.with("CARGO", cargo.display().to_string())
}

#[test]
fn what_is_saved_is_built_once_and_replaced_without_a_failed_request() {
    let servers = Servers::start();
    let system = watched(servers.system());
    system.succeeds(&["up", "--detach"]);
    let [mut user, payment, notification, simulator] = system.pids();
    let mut watch = system.start(&["up", "--watch"]);
    system.until("it watches", || system.said().contains("Ctrl-C ends the watch"));
    assert_eq!(system.pids(), [user, payment, notification, simulator]);
    let load = Load::on(system.port("user-service"), "/.well-known/jwks.json");
    let mut count = builds(&system);

    save(&system, SOURCE, "// 1\n");
    user = replaced(&system, user);
    count += 1;
    assert_eq!(builds(&system), count);

    // During a build, any number of saves is one more build.
    fs::write(system.path("slow"), "").unwrap();
    save(&system, SOURCE, "// 2\n");
    system.until("the build has begun", || builds(&system) == count + 1);
    for text in ["// 3\n", "// 4\n", "// 5\n"] {
        save(&system, SOURCE, text);
    }
    fs::create_dir_all(system.path("services/user-service/more")).unwrap();
    fs::remove_dir_all(system.path("services/user-service/more")).unwrap();
    fs::remove_file(system.path("slow")).unwrap();
    count += 2;
    system.until("the last save is built", || {
        fs::read_to_string(system.path("target/built")).unwrap_or_default() == "// 5\n"
    });
    system.until("and replaced", || system.said().matches("all done after").count() == 3);
    assert_eq!(builds(&system), count);
    user = replaced(&system, user);

    // A fault in the code, and one in the settings, stop nothing.
    save(&system, SOURCE, "// broken\n");
    system.until("the fault is shown", || {
        let said = system.said();
        said.contains("error: expected one of") && said.contains("the system runs on as it was")
    });
    let settings = fs::read_to_string(system.path("config/user-service.tsk")).unwrap();
    save(&system, SOURCE, "// 5\n");
    count += 2;
    system.until("the good one is built", || builds(&system) == count);
    save(&system, "config/user-service.tsk", &settings.replace("grace_period:", "grace_perod:"));
    system.until("the fault is shown", || system.said().contains("grace_perod"));
    assert_eq!(system.pids(), [user, payment, notification, simulator]);
    save(&system, "config/user-service.tsk", &settings);
    save(&system, SOURCE, "// 6\n");
    user = replaced(&system, user);

    // Ctrl-C in the middle of a build ends the watch alone.
    fs::write(system.path("slow"), "").unwrap();
    let begun = builds(&system);
    save(&system, SOURCE, "// 7\n");
    system.until("the build has begun", || builds(&system) > begun);
    assert!(watch.interrupt(), "{}", system.said());
    fs::remove_file(system.path("slow")).unwrap();
    assert_eq!(system.pids(), [user, payment, notification, simulator]);
    load.end();
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn a_watch_that_has_started_the_system_ends_it_and_leaves_alone_what_is_stopped() {
    let servers = Servers::start();
    let system = watched(servers.system());
    let mut watch = system.start(&["up", "--watch"]);
    system.until("it watches", || system.said().contains("Ctrl-C stops everything"));
    let user = system.pid("user-service");
    system.succeeds(&["stop", "payment-service"]);
    save(&system, SOURCE, "// 1\n");
    replaced(&system, user);
    system.until("all is done", || system.said().contains("all done after"));
    assert!(system.pids_of("payment-service").is_empty());
    assert!(watch.interrupt(), "{}", system.said());
    system.is_down();
}

/// Waits until another process is user-service; gives its id.
fn replaced(system: &System, old: u64) -> u64 {
    let mut pid = old;
    system.until("user-service is replaced", || {
        let pids = system.pids_of("user-service");
        pid = pids.first().copied().unwrap_or(old);
        pids.len() == 1 && pid != old
    });
    pid
}
