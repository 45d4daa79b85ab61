//! What is made, as Kubernetes and compose are to run it.

use std::process::Command;

use crate::workspace::{Workspace, cargo, root};

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn three_more_services_keep_every_rule() {
    let workspace = Workspace::copy();
    workspace.succeeds("", &["rename", "acme-shop"]);
    workspace.make_three();
    // The rules, on the copy.
    let mut rules = cargo();
    rules.args(["test", "--package", "dev", "--test", "kubernetes", "--", "--include-ignored"]);
    let output = rules.current_dir(root()).env("WORKSPACE", workspace.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "needs docker-compose; by hand where there is one"]
fn three_more_services_are_composed() {
    let workspace = Workspace::copy();
    workspace.make_three();
    let mut compose = Command::new("docker-compose");
    let output = compose.args(["config", "-q"]).current_dir(workspace.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
