//! What a command does when nobody reads its output any more, as in `cargo dev queues list | head`.

use std::{io::pipe, process::Stdio};

use crate::system::{Servers, System};

/// What a shell says of a command that wrote to a closed pipe.
const CLOSED: i32 = 141;

#[test]
fn commands_end_quietly_when_nobody_reads_what_they_say() {
    let servers = Servers::start();
    let system = servers.system();
    assert_ends_quietly(&system, &["status"]);
    system.succeeds(&["up", "--detach"]);
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["logs"],
        &["queues", "list"],
        &["queues", "list", "--json"],
        &["queues", "discard", "--all"],
        &["events", "list"],
        &["down"],
    ] {
        assert_ends_quietly(&system, words);
    }
    system.succeeds(&["down"]);
}

#[test]
fn a_fault_that_nobody_reads_ends_a_command_quietly() {
    let system = System::new();
    let (reader, errors) = pipe().unwrap();
    drop(reader);

    let output = system.dev(&["queues", "list"]).stderr(errors).output().unwrap();

    assert_eq!(output.status.code(), Some(CLOSED));
}

/// Its reader is gone before it says anything.
fn assert_ends_quietly(system: &System, words: &[&str]) {
    let (reader, output) = pipe().unwrap();
    drop(reader);

    let ended = system.dev(words).stdout(output).stderr(Stdio::piped()).output().unwrap();

    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &*errors), (Some(CLOSED), ""), "{words:?}");
}
