//! What the manifests of `k8s/` are held to: the bar for what runs in a cluster, and that they say
//! the same as `config/`, docker-compose.yml and the services' sources.
//!
//! They read what kubectl renders, and so are ignored where nobody asks for them: `cargo dev check`
//! runs them where kubectl is, and says so where it is not.
//!
//! Each rule gives its complaints; `violations` plants violations of each into what was rendered, so
//! that no rule is there that cannot fail.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod golden;
mod objects;
mod rules;
mod system;
mod violations;

use objects::Objects;
use system::System;

/// The folders of `k8s/overlays`.
const OVERLAYS: [&str; 2] = ["dev", "production"];

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
fn each_overlay_is_checked() {
    assert_eq!(system::folders("k8s/overlays"), OVERLAYS);
}
