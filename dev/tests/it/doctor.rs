//! `cargo dev doctor` where things are broken.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::system::System;

#[test]
fn broken_things_are_reported_and_nothing_is_changed() {
    let system = System::new().with("HTTP_PROXY", "http://me:hunter2@127.0.0.1:1");
    let data = system.path(".dev/postgres/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    fs::create_dir_all(system.path(".dev/rabbitmq/data")).unwrap();
    fs::write(system.path(".dev/rabbitmq/data/version"), "99.2.0").unwrap();
    fs::write(system.path("config/cache.tsk"), "[[[\n").unwrap();
    fs::write(system.path(".dev/state.json"), "{").unwrap();
    // Where what the commands print goes.
    fs::write(system.path("doctor.log"), "").unwrap();
    let before = files(&system.path(""));
    let mut doctor = system.dev(&["doctor", "--json"]);
    // What runs the tests may keep proxies from loopback.
    let doctor = doctor.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = doctor.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!printed.contains("hunter2"), "{printed}");
    let all: Value = serde_json::from_str(&printed).unwrap();
    for (check, outcome) in [
        ("postgres data", "fault"),
        ("rabbitmq data", "fault"),
        ("system", "fault"),
        ("proxies", "warn"),
        ("make", "ok"),
    ] {
        let finding = all["checks"].as_array().unwrap().iter().find(|one| one["check"] == check);
        let finding = finding.unwrap_or_else(|| panic!("{check} is not in {all:#}"));
        assert_eq!(finding["outcome"], outcome, "{finding}");
        assert_eq!(finding["mend"].is_string(), outcome != "ok", "{finding}");
    }
    assert_eq!(files(&system.path("")), before);
}

#[test]
fn a_folder_without_a_workspace_and_a_machine_without_programs_have_a_table_too() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dev"))
        .arg("doctor")
        .current_dir(folder.path())
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for line in ["make", "git", "disk: target", "checkout"] {
        assert!(printed.contains(&format!("\n{line} ")), "{line}: {printed}");
    }
    assert_eq!(files(folder.path()), BTreeSet::new());
}

#[test]
fn data_of_another_version_of_rabbitmq_is_left_alone_and_it_is_said_what_to_do() {
    let system = System::new();
    let folder = system.path(".dev/rabbitmq");
    fs::create_dir_all(folder.join("data")).unwrap();
    let version = folder.join("data/version");
    fs::write(&version, "99.2.0").unwrap();
    let output = system.output(&["up", "--detach"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("not compatible with this version of RabbitMQ"), "{error}");
    assert!(error.contains(&format!("delete {}", folder.display())), "{error}");
    assert_eq!(fs::read_to_string(version).unwrap(), "99.2.0");
    system.is_down();
}

/// Every file below a folder, with its size.
fn files(folder: &Path) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert((entry.path().display().to_string(), entry.metadata().unwrap().len()));
        }
    }
    found
}
