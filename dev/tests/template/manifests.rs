//! What is made, as Kubernetes and compose are to run it.

use std::process::Command;

use crate::workspace::{Workspace, cargo, root, succeeds};

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn three_more_services_keep_every_rule() {
    let workspace = Workspace::copy();
    workspace.make_three();
    // The rules, on the copy.
    let mut rules = cargo();
    rules.args(["test", "--package", "dev", "--test", "kubernetes", "--", "--include-ignored"]);
    succeeds(rules.current_dir(root()).env("WORKSPACE", workspace.path("")));
}

#[test]
#[ignore = "needs docker compose; the job `template` runs it"]
fn three_more_services_are_composed() {
    let workspace = Workspace::copy();
    workspace.make_three();
    // A plugin of Docker, or the older program of its own.
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut compose = if plugin.is_ok_and(|output| output.status.success()) {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new("docker-compose")
    };
    succeeds(compose.args(["config", "-q"]).current_dir(workspace.path("")));
}
