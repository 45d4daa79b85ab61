//! Redis.

use std::{
    fs,
    process::{Command, Stdio},
};

use testkit::native::{Redis, ServerOptions, find, port, servers_in};

use crate::{Killed, ask, assert_gone, assert_in_use};

#[test]
fn it_answers_stands_still_runs_on_and_leaves_nothing() {
    let options = ServerOptions::temporary().unwrap();
    let redis = Redis::start(&options).unwrap();
    assert_eq!(ask(redis.port(), b"PING\r\n"), b"+PONG\r\n");

    redis.freeze().unwrap();
    assert!(ask(redis.port(), b"PING\r\n").is_empty());
    redis.cont().unwrap();
    assert_eq!(ask(redis.port(), b"PING\r\n"), b"+PONG\r\n");

    let members = redis.members();
    let port = redis.port();
    drop(redis);
    assert_gone(&members, port, &options.folder);
}

#[test]
fn it_comes_back_on_the_same_port_after_a_kill() {
    let mut redis = Redis::start(&ServerOptions::temporary().unwrap()).unwrap();
    let port = redis.port();
    redis.kill().unwrap();
    assert!(ask(port, b"PING\r\n").is_empty());
    redis.start_again().unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(ask(port, b"PING\r\n"), b"+PONG\r\n");
}

#[test]
fn kept_data_survives_an_ordered_stop() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::kept(folder.path().join("redis"));
    let redis = Redis::start(&options).unwrap();
    assert_eq!(ask_signed_in(&redis, "SET key value"), "+OK\r\n+OK\r\n");
    drop(redis);
    let redis = Redis::start(&options).unwrap();
    assert_eq!(ask_signed_in(&redis, "GET key"), "+OK\r\n$5\r\nvalue\r\n");
}

#[test]
fn kept_data_is_closed_to_who_has_no_password_and_the_arguments_do_not_tell_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::kept(folder.path().join("redis"));
    fs::create_dir_all(&options.folder).unwrap();
    fs::write(options.folder.join("redis.conf"), "maxclients 77\n").unwrap();
    let redis = Redis::start(&options).unwrap();
    assert!(ask(redis.port(), b"GET key\r\n").starts_with(b"-NOAUTH"));
    let arguments = fs::read(format!("/proc/{}/cmdline", redis.process().pid)).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&arguments).contains(&password(&redis)));
    let limit = ask_signed_in(&redis, "CONFIG GET maxclients");
    assert!(limit.contains("77"), "the settings of the folder are read, too: {limit}");
}

/// The answers to signing in, and to a command.
fn ask_signed_in(redis: &Redis, command: &str) -> String {
    let question = format!("AUTH {}\r\n{command}\r\n", password(redis));
    String::from_utf8(ask(redis.port(), question.as_bytes())).unwrap()
}

fn password(redis: &Redis) -> String {
    let url = redis.url();
    url.strip_prefix("redis://:").and_then(|rest| rest.split_once('@')).unwrap().0.to_owned()
}

#[test]
fn a_busy_port_gives_way_to_a_free_one() {
    let first = Redis::start(&ServerOptions::temporary().unwrap()).unwrap();
    let second = Redis::start(&ServerOptions::temporary().unwrap().port(first.port())).unwrap();
    assert_ne!(first.port(), second.port());
}

#[test]
fn a_folder_has_one_server_at_a_time_and_names_it_to_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::kept(folder.path().join("redis"));
    let first = Redis::start(&options).unwrap();
    assert_in_use(&Redis::start(&options).unwrap_err(), first.process().pid, &options.folder);
    assert_eq!(ask_signed_in(&first, "PING"), "+OK\r\n+PONG\r\n", "it was left alone");
    drop(first);
    Redis::start(&options).unwrap();
}

#[test]
fn a_server_that_outlives_its_starter_is_found_by_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::kept(folder.path().join("redis"));
    let server = Redis::start(&options).unwrap();
    let process = server.process();
    server.detach();
    let found = servers_in(&options.folder);
    assert_eq!(found.iter().map(|member| member.process).collect::<Vec<_>>(), [process]);
    process.kill().unwrap();
    assert!(servers_in(&options.folder).is_empty());
    Redis::start(&options).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_somebody_else_has_started_on_the_data_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::kept(folder.path());
    let stranger = Command::new(find().redis.unwrap())
        .args(["--bind", "127.0.0.1", "--port", &port::free(None).to_string(), "--save", ""])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let stranger = Killed(stranger.unwrap());
    assert_in_use(&Redis::start(&options).unwrap_err(), stranger.0.id(), folder.path());
    drop(stranger);
    Redis::start(&options).unwrap();
}
