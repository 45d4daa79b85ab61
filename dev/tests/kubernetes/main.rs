//! What the manifests of `k8s/` are held to: the bar for what runs in a cluster, and that they say
//! the same as `config/`, docker-compose.yml and the services' sources.
//!
//! They read what kubectl renders, and so are ignored where nobody asks for them: `cargo dev check`
//! runs them where kubectl is, and says so where it is not.
//!
//! Each rule gives its complaints; `violations` plants violations of each into what was rendered, so
//! that no rule is there that cannot fail.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod compose;
mod golden;
mod objects;
mod overlays;
mod rules;
mod system;
mod violations;

use std::{fs, process::Command};

use objects::Objects;
use system::System;

/// The folders of `k8s/overlays`.
const OVERLAYS: [&str; 3] = ["dev", "production", "staging"];

fn complaints_of(overlay: &str) -> Vec<String> {
    rules::complaints(&Objects::render(overlay), &System::load())
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn what_is_rendered_for_development_keeps_every_rule() {
    let complaints = complaints_of("dev");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn what_is_rendered_for_production_keeps_every_rule() {
    let complaints = complaints_of("production");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn what_is_rendered_for_staging_keeps_every_rule() {
    let complaints = complaints_of("staging");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn each_overlay_is_checked() {
    assert_eq!(system::folders("k8s/overlays"), OVERLAYS);
}

/// As a deployment does: an overlay over the overlay, which names what was built.
#[test]
#[ignore = "needs kubectl; `cargo dev check` runs it"]
fn every_service_runs_by_digest_once_a_deployment_has_laid_them_over() {
    let copy = tempfile::tempdir().unwrap();
    let mut cp = Command::new("cp");
    cp.arg("-r").args(["k8s", "config"]).arg(copy.path()).current_dir(system::root());
    assert!(cp.status().unwrap().success());
    let digest = format!("sha256:{}", "0".repeat(64));
    let services = system::folders("services");
    let images = services.iter().map(|name| {
        format!("  - {{ name: {name}, newName: registry.example/{name}, digest: {digest} }}\n")
    });
    let layer = format!("resources: [../production]\nimages:\n{}", images.collect::<String>());
    let folder = copy.path().join("k8s/overlays/deployment");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("kustomization.yaml"), layer).unwrap();

    let objects = Objects::render_at(copy.path(), "deployment");
    for service in &services {
        let image = &objects.pod(service)["containers"][0]["image"];
        assert_eq!(*image, format!("registry.example/{service}@{digest}"));
    }
}
