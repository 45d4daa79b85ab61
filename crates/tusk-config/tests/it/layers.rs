//! What wins over what: optional files, whole folders, variables with a prefix, single values.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use tusk_config::{Errors, Loader, Secret, Vars};

#[derive(Debug, Deserialize)]
struct Settings {
    server: Server,
    #[serde(rename = "service:user-service")]
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Server {
    request_timeout: u16,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    key: Option<Secret>,
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    port: u16,
}

const FILE: &str = "[server]\nrequest_timeout: 1\ntags: [a]\nkey: @env.secure(\"KEY\")\n\
    url: \"http://x/#{request_timeout}\"\n[service:user-service]\nport: @env(\"PORT\", 2)\n";

fn loader(vars: &[(&str, &str)]) -> Loader {
    let vars = Vars::of(vars.iter().copied()).with_default("KEY", "hunter1");
    Loader::new("config").text("a.tsk", FILE).vars(vars).environment("APP")
}

fn texts(errors: &Errors) -> Vec<&str> {
    errors.iter().map(tusk_config::Fault::text).collect()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path: &Path = &folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_variable_with_the_prefix_lies_over_the_files() {
    let vars = [
        ("APP__SERVER__REQUEST_TIMEOUT", "7"),
        ("APP__SERVER__TAGS", "x, y"),
        ("APP__SERVICE_USER_SERVICE__PORT", "8"),
        ("APP_SERVER__TAGS", "no"),
        ("APPLE__SERVER__TAGS", "no"),
    ];
    let settings: Settings = loader(&vars).load().unwrap();
    assert_eq!((settings.server.request_timeout, settings.user.unwrap().port), (7, 8));
    assert_eq!(settings.server.tags, ["x", "y"]);
    assert_eq!(settings.server.url.unwrap(), "http://x/7", "references see what lies on top");
}

#[test]
fn a_variable_with_the_prefix_has_the_type_of_what_it_replaces() {
    let vars = [("APP__SERVER__REQUEST_TIMEOUT", "soon"), ("APP__SERVICE_USER_SERVICE__PORT", "x")];
    let errors = loader(&vars).load::<Settings>().unwrap_err();
    let expected = [
        "APP__SERVER__REQUEST_TIMEOUT is \"soon\", not a number, which its default says it is",
        "APP__SERVICE_USER_SERVICE__PORT is \"x\", not a number, which its default says it is",
    ];
    assert_eq!(texts(&errors), expected);
}

#[test]
fn a_secret_stays_one_under_a_variable_with_the_prefix() {
    let settings: Settings = loader(&[("APP__SERVER__KEY", "hunter2")]).load().unwrap();
    assert_eq!(settings.server.key.unwrap().expose(), "hunter2");
    let config = loader(&[("APP__SERVER__KEY", "hunter2")]).tree().unwrap();
    let error = config.get::<u8>("server.key").unwrap_err().to_string();
    assert!(
        error.contains("APP__SERVER__KEY is a secret") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn a_variable_that_names_a_new_key_makes_it_and_a_misspelt_one_is_reported() {
    let vars = [("APP__SERVER__REQUEST_TIMOUT", "7")];
    let errors = loader(&vars).load::<Settings>().unwrap_err();
    let [text] = texts(&errors)[..] else { panic!("{errors}") };
    assert!(text.contains("request_timout"), "{text}");
    assert!(errors.to_string().contains("APP__SERVER__REQUEST_TIMOUT"), "{errors}");
    let errors = loader(&[("APP____X", "1")]).load::<Settings>().unwrap_err();
    assert_eq!(texts(&errors), ["APP____X names no key"]);
}

#[test]
fn a_single_value_wins_over_everything_and_is_written_as_in_a_file() {
    let vars = [("APP__SERVER__REQUEST_TIMEOUT", "7")];
    let set = |path: &str, value: &str| loader(&vars).set(path, value).load::<Settings>();
    assert_eq!(set("server.request_timeout", "9").unwrap().server.request_timeout, 9);
    assert_eq!(set("server.tags", "[p, q]").unwrap().server.tags, ["p", "q"]);
    assert_eq!(set("service:user-service.port", "11").unwrap().user.unwrap().port, 11);
    assert_eq!(set("server.request_timeout", "3 * 4").unwrap().server.request_timeout, 12);
    let errors = set("server.request_timeout", "many").unwrap_err();
    let location = errors.iter().next().unwrap().location().unwrap();
    assert_eq!(location.file(), "the value given for server.request_timeout");
    assert_eq!(set("server.request_timeout", "\"x").unwrap_err().len(), 1);
    assert_eq!(texts(&set("server.tags", "[]\nport: 5").unwrap_err()), ["expected one value"]);
    assert_eq!(set("", "1").unwrap_err().len(), 1);
    assert_eq!(set("a..b", "1").unwrap_err().len(), 1);
}

#[test]
fn a_whole_folder_is_read_by_name_and_its_overlay_over_it() {
    let folder = folder(&[
        ("b.tsk", "[server]\nrequest_timeout: 2\n"),
        ("a.tsk", FILE),
        ("notes.txt", "no configuration"),
        ("peanut.tsk", "[server]\nrequest_timeout: 8\n"),
        ("sub/c.tsk", "[server]\nrequest_timeout: 9\n"),
        ("environments/production/only-there.tsk", "[server]\nrequest_timeout: 5\n"),
    ]);
    let load = |environment: &str| {
        let vars = Vars::of([("KEY", "k"), ("ENVIRONMENT", environment)]);
        Loader::new(folder.path()).all_files().vars(vars).load::<Settings>().unwrap().server
    };
    assert_eq!(load("development").request_timeout, 2);
    assert_eq!(load("production").request_timeout, 5);
    let empty = tempfile::tempdir().unwrap();
    let errors = Loader::new(empty.path()).all_files().load::<Settings>().unwrap_err();
    assert!(texts(&errors)[0].starts_with("no .tsk file in "), "{errors}");
    let errors = Loader::new("/nowhere").all_files().load::<Settings>().unwrap_err();
    assert!(texts(&errors)[0].starts_with("cannot read /nowhere: "), "{errors}");
}

#[test]
fn peanut_is_read_only_on_request() {
    let folder = folder(&[("a.tsk", FILE), ("peanut.tsk", "[server]\nrequest_timeout: 8\n")]);
    let loader = || Loader::new(folder.path()).all_files().vars(Vars::of([("KEY", "k")]));
    let timeout = |loader: Loader| loader.load::<Settings>().unwrap().server.request_timeout;
    assert_eq!((timeout(loader()), timeout(loader().file("peanut"))), (1, 8));
}

#[test]
fn globals_of_an_overlay_win_as_keys_do() {
    let folder = folder(&[
        ("a.tsk", "$host: \"base\"\n[server]\nrequest_timeout: 1\nurl: $host\n"),
        ("environments/development/a.tsk", "$host: \"dev\"\n"),
    ]);
    let loader = Loader::new(folder.path()).file("a").vars(Vars::empty());
    assert_eq!(loader.load::<Settings>().unwrap().server.url.as_deref(), Some("dev"));
}
