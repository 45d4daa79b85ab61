//! `cargo dev new-service`, `remove-service`, `new-event`, `new-route` and `rename`, on a copy of this
//! workspace.
//!
//! Nothing of what is made is compiled here. That it compiles, passes its lints and its tests is for
//! `full`, which takes minutes and is run by name: `cargo test -p dev --test template -- --ignored full`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::disallowed_methods, reason = "the tool is told where to build")]

mod additions;
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
    let shown = workspace.succeeds("services", &["new-service", "lanterns", "--dry-run"]);
    for piece in [
        "+++ b/services/lanterns-service/src/domain/lantern.rs",
        "+pub mod lantern;",
        "+[policy.lanterns-service]",
        "+lantern_events: lanterns-service.events",
        "+  lanterns-service:",
        "+  - { name: lanterns-service, newTag: 1.0.0 }",
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
    for (name, _) in workspace::THREE {
        let service = format!("{name}-service");
        assert!(packages.iter().any(|package| package["name"] == service), "{service}");
        let compose: Value = serde_saphyr::from_str(&workspace.text("docker-compose.yml")).unwrap();
        let published = compose["services"][&service]["ports"][0].as_str().unwrap();
        let (_, port) = published.rsplit_once(':').unwrap();
        let settings = workspace.text(&format!("config/{service}.tsk"));
        assert!(settings.contains(&format!("@env(\"PORT\", {port})")), "{settings}");
        let again = workspace.succeeds("crates", &["new-service", name]);
        assert!(again.contains("is already there"), "{again}");
    }
    let consumers = ["lanterns", "lantern-wicks", "candles"]
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
    let error = workspace.fails("", &["new-service", "lanterns", "--quick", "--offline"]);
    assert!(error.contains("nothing is left of it") && error.contains("given twice"), "{error}");
    assert_eq!(workspace.status(), "");
    assert!(!workspace.path("services/lanterns-service").exists());
}

#[test]
fn what_somebody_wrote_goes_only_by_force() {
    let workspace = Workspace::copy();
    // Of a name that says nothing of its thing.
    let made = ["new-service", "foxes", "--aggregate", "x-ray-image", "--quick", "--offline"];
    workspace.succeeds("", &made);
    workspace.succeeds("", &["new-service", "foxes"]);
    workspace.succeeds("", &["remove-service", "foxes", "--offline"]);
    assert_eq!(workspace.status(), "");
    workspace.succeeds("", &["new-service", "lanterns", "--quick", "--offline"]);
    let file = workspace.path("services/lanterns-service/src/domain/lantern.rs");
    fs::write(&file, fs::read_to_string(&file).unwrap() + "// mine\n").unwrap();
    let policy = workspace.text("config/auth.tsk");
    let policy = policy.replace("\"POST /api/lanterns\": user", "\"POST /api/lanterns\": admin");
    workspace.write("config/auth.tsk", &policy);

    let error = workspace.fails("", &["remove-service", "lanterns"]);
    for changed in
        ["services/lanterns-service", "config/auth.tsk: policy.lanterns-service", "--force"]
    {
        assert!(error.contains(changed), "{error}");
    }
    workspace.succeeds("", &["remove-service", "lanterns", "--force", "--offline"]);
    assert_eq!(workspace.status(), "");
}

#[test]
fn what_is_there_in_parts_is_reported() {
    let workspace = Workspace::copy();
    workspace.succeeds("", &["new-service", "lanterns", "--quick", "--offline"]);
    let queues = workspace.text("config/message_queue.tsk");
    let line = "lantern_events: lanterns-service.events\n";
    workspace.write("config/message_queue.tsk", &queues.replace(line, ""));
    let error = workspace.fails("", &["new-service", "lanterns"]);
    assert!(error.contains("queues / lantern_events"), "{error}");
}

#[test]
fn a_renamed_workspace_bears_the_old_name_nowhere_and_gets_services_too() {
    let workspace = Workspace::copy();
    let old = workspace.project();
    let aliases = workspace.text(".cargo/config.toml");
    workspace.succeeds("", &["rename", "acme-shop"]);
    assert_eq!(workspace.project(), "acme-shop");
    assert_eq!(workspace.words_with(&old), Vec::<String>::new());
    for (file, renamed) in [
        ("README.md", "# Acme Shop\n"),
        ("crates/auth/src/tokens.rs", "\"acme-shop-microservices\""),
        ("k8s/overlays/production/kustomization.yaml", "RABBITMQ_VHOST=acme-shop\n"),
        ("config/observability/rules/calls.yml", "{part_of=\"acme-shop\"}"),
        ("crates/tusk-config/Cargo.toml", "name = \"tusk-config\""),
    ] {
        assert!(workspace.text(file).contains(renamed), "{renamed} is not in {file}");
    }
    assert_eq!(workspace.text(".cargo/config.toml"), aliases);
    workspace.is_formatted();
    let again = workspace.succeeds("", &["rename", "acme-shop"]);
    assert!(again.contains("already"), "{again}");
    workspace.commit();

    workspace.succeeds("", &["new-service", "lanterns", "--quick", "--offline"]);
    workspace.metadata();
    workspace.is_formatted();
    workspace.succeeds("", &["remove-service", "lanterns", "--offline"]);
    assert_eq!(workspace.status(), "");
}

#[test]
fn a_project_is_called_what_nothing_else_is() {
    let workspace = Workspace::copy();
    for (name, expected) in [
        ("Acme Shop", "such as `acme-shop`"),
        ("payment", "is a word of"),
        ("a-name-for-a-project-that-nobody-types", "Grafana takes 40"),
    ] {
        let error = workspace.fails("", &["rename", name]);
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert_eq!(workspace.status(), "");
}
