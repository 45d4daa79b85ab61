//! `cargo dev new-service`, `remove-service` and `rename`, on a copy of this workspace.
//!
//! Nothing of what is made is compiled here. That it compiles, passes its lints and its tests is for
//! `full`, which takes minutes and is run by name: `cargo test -p dev --test template -- --ignored full`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::disallowed_methods, reason = "the tool is told where to build")]

mod full;
mod manifests;
mod names;
mod workspace;

use std::fs;

use serde_json::Value;

use workspace::Workspace;

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let workspace = Workspace::copy();
    let shown = workspace.succeeds("services", &["new-service", "orders", "--dry-run"]);
    for piece in [
        "+++ b/services/orders-service/src/domain/order.rs",
        "+pub mod order;",
        "+[policy.orders-service]",
        "+order_events: orders-service.events",
        "+  orders-service:",
        "+  - { name: orders-service, newTag: 1.0.0 }",
    ] {
        assert!(shown.contains(piece), "{piece} is not in\n{shown}");
    }
    assert_eq!(workspace.status(), "");
}

#[test]
fn services_of_all_options_are_made_known_and_taken_away_again() {
    let workspace = Workspace::copy();
    workspace.make_three();
    let metadata: Value = serde_json::from_str(&workspace.metadata()).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    for (name, port) in workspace::THREE.iter().map(|(name, _)| name).zip(3004..) {
        let service = format!("{name}-service");
        assert!(packages.iter().any(|package| package["name"] == service), "{service}");
        let compose: Value = serde_saphyr::from_str(&workspace.text("docker-compose.yml")).unwrap();
        let ports = &compose["services"][&service]["ports"];
        assert_eq!(*ports, serde_json::json!([format!("127.0.0.1:{port}:{port}")]));
        let again = workspace.succeeds("crates", &["new-service", name]);
        assert!(again.contains("is already there"), "{again}");
    }
    let consumers = ["orders", "order-items", "baskets"]
        .map(|name| workspace.text(&format!("services/{name}-service/src/consumer.rs")));
    let hears = |event: &str| consumers.each_ref().map(|text| text.contains(event));
    assert_eq!(hears("UserDeleted"), [true, false, true]);
    assert_eq!(hears("PaymentCompleted"), [false, true, true]);
    assert!(!consumers.concat().contains("template:"));

    for (name, _) in workspace::THREE {
        workspace.succeeds("", &["remove-service", name, "--offline"]);
    }
    assert_eq!(workspace.status(), "");
}

#[test]
fn a_fault_after_everything_is_written_leaves_nothing_of_it() {
    let workspace = Workspace::copy();
    // Found once the settings are checked, after all files are there.
    workspace.append("config/scaling.tsk", "\n[slip]\na: 1\na: 2\n");
    let error = workspace.fails("", &["new-service", "orders", "--quick", "--offline"]);
    assert!(error.contains("nothing is left of it") && error.contains("given twice"), "{error}");
    assert_eq!(workspace.status(), "");
    assert!(!workspace.path("services/orders-service").exists());
}

#[test]
fn what_somebody_wrote_goes_only_by_force() {
    let workspace = Workspace::copy();
    // Of a name that says nothing of its thing.
    let made = ["new-service", "boxes", "--aggregate", "parcel", "--quick", "--offline"];
    workspace.succeeds("", &made);
    workspace.succeeds("", &["new-service", "boxes"]);
    workspace.succeeds("", &["remove-service", "boxes", "--offline"]);
    assert_eq!(workspace.status(), "");
    workspace.succeeds("", &["new-service", "orders", "--quick", "--offline"]);
    let file = workspace.path("services/orders-service/src/domain/order.rs");
    fs::write(&file, fs::read_to_string(&file).unwrap() + "// mine\n").unwrap();
    let policy = workspace.text("config/auth.tsk");
    let policy = policy.replace("\"POST /api/orders\": user", "\"POST /api/orders\": admin");
    fs::write(workspace.path("config/auth.tsk"), policy).unwrap();

    let error = workspace.fails("", &["remove-service", "orders"]);
    for changed in ["services/orders-service", "config/auth.tsk: policy.orders-service", "--force"]
    {
        assert!(error.contains(changed), "{error}");
    }
    workspace.succeeds("", &["remove-service", "orders", "--force", "--offline"]);
    assert_eq!(workspace.status(), "");
}

#[test]
fn what_is_there_in_parts_is_told() {
    let workspace = Workspace::copy();
    workspace.succeeds("", &["new-service", "orders", "--quick", "--offline"]);
    let compose = workspace.text("docker-compose.yml");
    let line = "  ORDERS_SERVICE_HOST: orders-service\n";
    fs::write(workspace.path("docker-compose.yml"), compose.replace(line, "")).unwrap();
    let error = workspace.fails("", &["new-service", "orders"]);
    assert!(error.contains("x-environment / ORDERS_SERVICE_HOST"), "{error}");
}

#[test]
fn a_renamed_workspace_gets_services_too() {
    let workspace = Workspace::copy();
    workspace.succeeds("", &["rename", "acme-shop"]);
    assert!(workspace.text("README.md").starts_with("# Acme Shop\n"));
    let production = workspace.text("k8s/overlays/production/kustomization.yaml");
    assert!(production.contains("namespace: acme-shop\n"), "{production}");
    assert!(workspace.text("crates/tusk-config/Cargo.toml").contains("name = \"tusk-config\""));
    let again = workspace.succeeds("", &["rename", "acme-shop"]);
    assert!(again.contains("already"), "{again}");
    workspace.commit();

    workspace.succeeds("", &["new-service", "orders", "--quick", "--offline"]);
    workspace.metadata();
    workspace.succeeds("", &["remove-service", "orders", "--offline"]);
    assert_eq!(workspace.status(), "");
    let error = workspace.fails("", &["rename", "Acme Shop"]);
    assert!(error.contains("such as `acme-shop`"), "{error}");
}
