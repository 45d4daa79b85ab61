//! What the comparison in `crates/tusk-config/README.md` says of other configuration crates, each
//! cell of it. `cargo test -p bench`; a peer that learns something fails here, and the table changes.
#![allow(clippy::unwrap_used, clippy::result_large_err, missing_docs)]

use confique::Config as _;
use figment::providers::{Env, Format, Toml};
use figment::{Figment, Jail};
use serde::Deserialize;
use tusk_config::{Loader, Vars};

const BAD: &str = "[server]\nport = \"x\"\nworkers = \"y\"\n";
const GOOD: &str = "[server]\nport = 1\nworkers = 2\nprot = 5\n";
const OVERLAY: &str = "[server]\nworkers = \"y\"\n";

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Settings {
    server: Server,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Server {
    port: u16,
    workers: u16,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Flattened {
    #[serde(flatten)]
    inner: Settings,
}

#[derive(Debug, confique::Config)]
#[allow(dead_code)]
struct Confique {
    #[config(nested)]
    server: ConfiqueServer,
}

#[derive(Debug, confique::Config)]
#[allow(dead_code)]
struct ConfiqueServer {
    #[config(env = "APP_PORT")]
    port: u16,
    workers: u16,
}

fn figment(files: &[&str]) -> Figment {
    files.iter().fold(Figment::new(), |figment, file| figment.merge(Toml::file(file)))
}

fn config(files: &[&str]) -> config::ConfigBuilder<config::builder::DefaultState> {
    files.iter().fold(config::Config::builder(), |builder, file| {
        builder.add_source(config::File::with_name(file))
    })
}

fn settings(text: &str, vars: &[(&str, &str)]) -> Loader {
    Loader::new("config")
        .text("a.tsk", text)
        .vars(Vars::of(vars.iter().copied()))
        .environment("APP")
}

/// Runs a test in a folder of its own with these files.
fn with_files(test: impl FnOnce(&mut Jail)) {
    Jail::expect_with(|jail| {
        for (name, text) in [("bad.toml", BAD), ("good.toml", GOOD), ("overlay.toml", OVERLAY)] {
            jail.create_file(name, text)?;
        }
        test(jail);
        Ok(())
    });
}

#[test]
fn only_tusk_config_reports_all_faults_at_once_with_line_and_column() {
    with_files(|_| {
        let figment = figment(&["bad.toml"]).extract::<Settings>().unwrap_err();
        let config = config(&["bad.toml"]).build().unwrap().try_deserialize::<Settings>();
        let config = config.unwrap_err().to_string();
        let confique = Confique::builder().file("bad.toml").load().unwrap_err();
        let confique = format!("{confique:?}");
        assert_eq!(figment.count(), 1);
        let both = |text: &str| text.contains("port") && text.contains("workers");
        assert!(!both(&figment.to_string()) && !both(&config), "{figment} / {config}");
        assert!(!(confique.contains("`x`") && confique.contains("`y`")), "{confique}");
        // The file is named, the line is not.
        assert!(figment.to_string().contains("bad.toml") && !figment.to_string().contains('2'));
        assert!(config.contains("bad.toml") && !config.contains('2'), "{config}");
        assert!(confique.contains("bad.toml"), "{confique}");
    });
    let faults = settings(BAD, &[]).load::<Settings>().unwrap_err().to_string();
    assert!(faults.contains("a.tsk:2:8: ") && faults.contains("a.tsk:3:11: "), "{faults}");
}

#[test]
fn of_merged_files_the_one_at_fault_is_named_by_all() {
    with_files(|_| {
        let figment = figment(&["good.toml", "overlay.toml"]).extract::<Settings>().unwrap_err();
        assert!(figment.to_string().contains("overlay.toml"), "{figment}");
        let config = config(&["good.toml", "overlay.toml"]).build().unwrap();
        let config = config.try_deserialize::<Settings>().unwrap_err().to_string();
        assert!(config.contains("overlay.toml"), "{config}");
        let confique = Confique::builder().file("overlay.toml").file("good.toml").load();
        let confique = format!("{:?}", confique.unwrap_err());
        assert!(confique.contains("overlay.toml"), "{confique}");
    });
}

#[test]
fn with_flatten_figment_and_config_lose_the_place() {
    with_files(|_| {
        let figment = figment(&["bad.toml"]).extract::<Flattened>().unwrap_err().to_string();
        let config = config(&["bad.toml"]).build().unwrap().try_deserialize::<Flattened>();
        let config = config.unwrap_err().to_string();
        for text in [figment, config] {
            assert!(!text.contains("bad.toml") && !text.contains("port"), "{text}");
        }
    });
    let faults = settings(BAD, &[]).load::<Flattened>().unwrap_err().to_string();
    assert!(faults.contains("a.tsk:2:8: ") && faults.contains("a.tsk:3:11: "), "{faults}");
}

#[test]
fn a_value_of_a_variable_is_reported_by_its_name_in_tusk_config_and_confique() {
    with_files(|jail| {
        jail.set_env("APP_SERVER__PORT", "x");
        jail.set_env("APP_PORT", "x");
        let figment = figment(&["good.toml"]).merge(Env::prefixed("APP_").split("__"));
        let figment = figment.extract::<Settings>().unwrap_err().to_string();
        assert!(
            figment.contains("`APP_` environment variable")
                && !figment.contains("APP_SERVER__PORT")
        );
        let variables =
            config::Environment::with_prefix("APP").prefix_separator("_").separator("__");
        let config = config(&["good.toml"]).add_source(variables).build().unwrap();
        let config = config.try_deserialize::<Settings>().unwrap_err().to_string();
        assert!(!config.contains("APP_SERVER__PORT"), "{config}");
        let confique = Confique::builder().env().file("good.toml").load().unwrap_err();
        assert!(confique.to_string().contains("APP_PORT"), "{confique}");
    });
    let faults = settings(GOOD, &[("APP__SERVER__PORT", "x")]).load::<Settings>().unwrap_err();
    assert!(faults.to_string().contains("APP__SERVER__PORT is \"x\""), "{faults}");
}

#[test]
fn only_tusk_config_reports_unknown_keys_unasked() {
    with_files(|_| {
        assert!(figment(&["good.toml"]).extract::<Settings>().is_ok());
        assert!(config(&["good.toml"]).build().unwrap().try_deserialize::<Settings>().is_ok());
        assert!(Confique::builder().file("good.toml").load().is_ok());
    });
    let faults = settings(GOOD, &[]).load::<Settings>().unwrap_err().to_string();
    assert!(faults.contains("unknown key `prot`, did you mean `port`?"), "{faults}");
}

#[test]
fn figment_and_confique_pass_over_a_missing_file() {
    with_files(|_| {
        assert!(figment(&["good.toml", "none.toml"]).extract::<Settings>().is_ok());
        assert!(config(&["good.toml", "none.toml"]).build().is_err());
        assert!(Confique::builder().file("none.toml").file("good.toml").load().is_ok());
    });
    assert!(Loader::new("/nowhere").file("none").load::<Settings>().is_err());
}

#[test]
fn figment_tells_the_file_of_a_value_and_tusk_config_its_history() {
    with_files(|_| {
        let figment = figment(&["good.toml"]);
        let source = figment.find_metadata("server.port").and_then(|found| found.source.clone());
        let file = source.unwrap();
        assert!(file.file_path().unwrap().ends_with("good.toml"));
        let config = config(&["good.toml"]).build().unwrap();
        let value = config.get::<config::Value>("server.port").unwrap();
        assert_eq!(value.origin(), None, "it has the file, but loses it on the way out");
    });
    let explained = settings(GOOD, &[("APP__SERVER__PORT", "7")]).tree().unwrap();
    let explained = explained.explain("server.port").unwrap();
    assert_eq!(explained.steps.len(), 2);
    assert_eq!(explained.steps[1].location.as_ref().unwrap().to_string(), "a.tsk:2:8");
}

#[test]
fn confique_and_tusk_config_make_templates() {
    let template = confique::toml::template::<Confique>(confique::toml::FormatOptions::default());
    assert!(template.contains("#port ="), "{template}");
}
