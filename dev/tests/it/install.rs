//! Servers that are not on the machine: nothing is installed unless somebody has agreed.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use crate::system::System;

/// What is hidden.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];

#[test]
fn packages_are_named_and_not_installed_when_nobody_can_be_asked() {
    let system = without_redis();
    for words in [
        &["up", "--detach"][..],
        &["up", "--detach", "--no-install"],
        &["test"],
        &["bench", "messaging"],
    ] {
        let output = system.output(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words:?}");
        assert!(error.contains("install"), "{words:?}: {error}");
        let said = format!("{}{error}", String::from_utf8_lossy(&output.stdout));
        assert!(said.contains("redis-server"), "{words:?}: {said}");
        assert!(!said.contains("Reading package lists"), "{words:?}: {said}");
    }
    system.is_down();
}

#[test]
fn who_says_no_on_a_terminal_gets_the_line_to_run_and_nothing_is_installed() {
    if testkit::native::find::on_path("apt-get").is_none() {
        return assert_tells_the_line(&without_redis());
    }
    let system = without_redis();
    let tool = system.dev(&["up"]);
    let mut script = Command::new("script");
    let line = format!("{} up --detach", tool.get_program().display());
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.current_dir(system.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
    script.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut asked = script.spawn().unwrap();
    asked.stdin.take().unwrap().write_all(b"n\n").unwrap();
    let output = asked.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("apt-get install -y --no-install-recommends redis-server"), "{said}");
    let is_root = rustix::process::geteuid().is_root();
    assert!(!is_root || said.contains("install them? [y/N]"), "{said}");
    assert!(!said.contains("Reading package lists"), "{said}");
    system.is_down();
}

fn assert_tells_the_line(system: &System) {
    let output = system.output(&["up", "--detach"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("install"));
}

/// A system on a machine that has every program but this server.
fn without_redis() -> System {
    let system = System::new();
    let programs = system.path("programs");
    fs::create_dir(&programs).unwrap();
    for folder in env::split_paths(&env::var_os("PATH").unwrap()) {
        for program in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = program.file_name();
            if !SERVERS.iter().any(|server| name == *server) {
                let _there_already = symlink(program.path(), programs.join(name));
            }
        }
    }
    let path = programs.display().to_string();
    system.with("PATH", path).with("CI", "").with("TEST_REDIS_URL", "")
}
