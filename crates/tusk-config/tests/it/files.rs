//! Files, overlays and limits.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use tusk_config::{Errors, Loader, Secret, Vars};

#[derive(Debug, Deserialize, PartialEq)]
struct Settings {
    server: Server,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Server {
    host: String,
    port: u16,
    #[serde(default)]
    url: String,
    #[serde(default)]
    tags: Vec<String>,
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn load(folder: &Path, vars: &[(&str, &str)]) -> Result<Settings, Errors> {
    let vars = Vars::of(vars.iter().copied());
    Loader::new(folder).file("a").file("b").vars(vars).load()
}

#[test]
fn an_overlay_is_merged_key_by_key_and_keeps_its_places() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(
        folder,
        "a.tsk",
        "[server]\nhost: a\nport: 1\nurl: \"http://#{host}:#{port}\"\ntags: [x, y]\n",
    );
    write(folder, "b.tsk", "[server]\nport: 2\n");
    write(folder, "environments/development/a.tsk", "[server]\nhost: dev\n");
    write(folder, "environments/production/a.tsk", "[server]\nport: 4\ntags: [z]\n");
    write(folder, "environments/broken/b.tsk", "[server]\nport: many\n");

    let server = load(folder, &[]).unwrap().server;
    assert_eq!((server.host.as_str(), server.port), ("dev", 2));
    assert_eq!(server.url, "http://dev:2");
    let server = load(folder, &[("ENVIRONMENT", "production")]).unwrap().server;
    assert_eq!((server.host.as_str(), server.port), ("a", 4));
    assert_eq!(server.tags, ["z"]);
    let server = load(folder, &[("ENVIRONMENT", "none")]).unwrap().server;
    assert_eq!(server.port, 2);

    let errors = load(folder, &[("ENVIRONMENT", "broken")]).unwrap_err();
    let location = errors.iter().next().unwrap().location().unwrap().to_string();
    assert!(location.ends_with("environments/broken/b.tsk:2:7"), "{location}");
    let errors = load(folder, &[("ENVIRONMENT", "../x")]).unwrap_err().to_string();
    assert!(errors.starts_with("ENVIRONMENT is \"../x\", which cannot be"), "{errors}");
}

#[test]
fn a_missing_file_is_one_fault_and_others_are_still_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "b.tsk", "[server]\nhost: x\nport: many\n");
    let errors = load(folder.path(), &[]).unwrap_err();
    let texts: Vec<_> = errors.iter().map(tusk_config::Fault::text).collect();
    assert_eq!(texts.len(), 2, "{errors}");
    assert!(texts[0].starts_with("cannot read ") && texts[0].contains("a.tsk: "), "{errors}");
    assert!(texts[1].starts_with("`port` is \"many\""), "{errors}");
    let errors = Loader::new(folder.path()).file("nothing").tree().unwrap_err();
    assert_eq!(errors.len(), 1);
}

#[test]
fn a_file_has_a_size_limit() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.tsk", "[server]\nhost: a\nport: 1\n");
    let loader = Loader::new(folder.path()).file("a").vars(Vars::empty());
    assert_eq!(loader.clone().size_max(25).load::<Settings>().unwrap().server.port, 1);
    let errors = loader.size_max(24).load::<Settings>().unwrap_err().to_string();
    assert!(errors.contains("larger than 24 bytes"), "{errors}");
}

#[test]
fn a_secret_can_come_from_the_file_that_its_variable_names() {
    #[derive(Debug, Deserialize)]
    struct Key {
        key: Secret,
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "hunter2\n").unwrap();
    let vars = [("KEY_FILE", file.path().to_str().unwrap())];
    let text = "key: @env.secure(\"KEY\")";
    assert_eq!(crate::load::<Key>(text, &vars).unwrap().key.expose(), "hunter2");
    let plain = "key: @env(\"KEY\", \"guest\")";
    assert_eq!(crate::load::<Key>(plain, &vars).unwrap().key.expose(), "hunter2");

    let found = crate::faults::<Key>(text, &[("KEY_FILE", "/nowhere/key")]);
    assert!(
        found[0].starts_with("1:6 KEY_FILE names `/nowhere/key`, which cannot be read"),
        "{found:?}"
    );
    assert_eq!(crate::faults::<Key>(text, &[("KEY", "")]), ["1:6 KEY is empty"]);
}

#[test]
fn the_variables_of_the_process_are_the_default() {
    let config = Loader::new("config").text("a.tsk", "path: @env.PATH").tree().unwrap();
    assert_eq!(
        config.get::<Option<String>>("path").unwrap().is_some(),
        Vars::process().get("PATH").is_some()
    );
}
