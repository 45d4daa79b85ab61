//! Every setting of a service that runs: what it is, where it came from, and what it replaced.
//!
//! The files are read as the service has read them, with the variables that its process was started
//! with. Where its `/debug` answers, what the process itself says is compared with that: a file may have
//! changed since.

mod mask;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tusk_config::{Config, Explanation, Loader, Vars};

use self::mask::Mask;
use crate::app::App;
use crate::system::{Process, State};

/// How old they may be: they change when a file is saved or a service starts.
const AGE: Duration = Duration::from_secs(3);
/// How long a process may take to say what it runs with.
const LIMIT: Duration = Duration::from_secs(1);
/// Settings of one service that are shown.
const SETTINGS_MAX: usize = 2_000;
/// Letters of a value that are shown.
const VALUE_MAX: usize = 400;

/// One setting of one service. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Its keys, joined with dots.
    pub(crate) path: String,
    pub(crate) value: String,
    /// Where it stands: `config/cache.tsk:4:6`.
    pub(crate) place: String,
    /// What it is made of, in words: `PORT is set`.
    pub(crate) origins: Vec<String>,
    /// What stood there before: where, and what.
    pub(crate) replaced: Vec<(String, String)>,
    /// What the process runs with, where that is something else.
    pub(crate) runs_with: Option<String>,
}

/// The settings of each service that runs, or why they are not known.
pub(crate) type Settings = BTreeMap<String, Result<Vec<Setting>, String>>;

pub(crate) async fn settings(app: &App) -> std::sync::Arc<Settings> {
    let asked = app.origins.get(AGE, || read_all(app.clone())).await;
    asked.unwrap_or_default()
}

async fn read_all(app: App) -> Settings {
    let state = app.system.now();
    // What stands in files is shown without it, too: a token waits for user-service, which may wait for others.
    // It is waited for no longer, and not broken off: the next look has it, and asks for no second one.
    let tool = std::sync::Arc::clone(&app.tool);
    let asked = tokio::spawn(async move { tool.administrator().await });
    let token = tokio::time::timeout(LIMIT, asked).await;
    let token = token.ok().and_then(|it| it.ok()?.ok()).unwrap_or_default();
    let mut all = Settings::new();
    for process in state.services() {
        let said = said(&app, process, &token).await;
        let root = app.settings.root.clone();
        let process = process.clone();
        let state = state.clone();
        let name = process.name.clone();
        let read = tokio::task::spawn_blocking(move || read(&root, &process, &state, &said));
        let read = read.await.unwrap_or_else(|error| Err(error.into()));
        all.insert(name, read.map_err(|error| format!("{error:#}")));
    }
    all
}

/// What a process itself says: of each setting that stands in a file, its value. Nothing where `/debug`
/// is off.
async fn said(app: &App, process: &Process, token: &str) -> BTreeMap<String, Value> {
    let ask = async {
        let asked = app.http.get(format!("{}/debug", process.url()?)).bearer_auth(token);
        let answer = asked.timeout(LIMIT).send().await.ok()?.error_for_status().ok()?;
        answer.json::<Value>().await.ok()
    };
    let report = ask.await.unwrap_or_default();
    let settings = report["settings"].as_array().into_iter().flatten();
    settings
        .filter_map(|it| Some((it["path"].as_str()?.to_owned(), it.get("value")?.clone())))
        .collect()
}

fn read(
    root: &Path,
    process: &Process,
    state: &State,
    said: &BTreeMap<String, Value>,
) -> Result<Vec<Setting>> {
    let variables = variables(process)?;
    let folder = variables.get("CONFIG_DIR").map_or_else(|| root.join("config"), PathBuf::from);
    let services: Vec<&str> = state.services().iter().map(|it| it.name.as_str()).collect();
    let files = files(&folder, &process.name, &services)?;
    explained(root, &folder, &process.name, &files, variables, said)
}

/// The variables that a process was started with.
fn variables(process: &Process) -> Result<BTreeMap<String, String>> {
    anyhow::ensure!(process.id().is_running(), "it has ended");
    let environment = std::fs::read(format!("/proc/{}/environ", process.pid));
    let environment = environment.context("its variables cannot be read")?;
    let pairs = environment.split(|byte| *byte == 0).filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Ok(pairs.collect())
}

/// The names of the settings files of a service: those of all, and its own, which wins.
fn files(folder: &Path, service: &str, services: &[&str]) -> Result<Vec<String>> {
    let items = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let names = items.flatten().filter_map(|item| {
        let name = item.file_name().into_string().ok()?;
        name.strip_suffix(".tsk").map(str::to_owned)
    });
    // Also of a service that does not run.
    let is_of_another = |name: &String| name.ends_with("-service") || services.contains(&&**name);
    let mut names: Vec<String> = names.filter(|name| !is_of_another(name)).collect();
    names.sort_unstable();
    names.push(service.to_owned());
    Ok(names)
}

fn explained(
    root: &Path,
    folder: &Path,
    service: &str,
    files: &[String],
    variables: BTreeMap<String, String>,
    said: &BTreeMap<String, Value>,
) -> Result<Vec<Setting>> {
    let mask = Mask::of(&variables);
    let vars = Vars::of(variables).with_default("SERVICE_NAME", service);
    let loader = files.iter().fold(Loader::new(folder), |loader, file| loader.file(file));
    let config: Config = loader.vars(vars).tree().map_err(|errors| anyhow!("{errors}"))?;
    let settings = config.shown().into_iter().take(SETTINGS_MAX).filter_map(|shown| {
        let explanation = config.explain(&shown.path).ok()?;
        let now = shown.value.and_then(|value| serde_json::to_value(value).ok());
        let runs_with = said.get(&shown.path).filter(|said| now.as_ref() != Some(said));
        Some(setting(root, &mask, explanation, runs_with))
    });
    Ok(settings.collect())
}

fn setting(
    root: &Path,
    mask: &Mask,
    explanation: Explanation,
    runs_with: Option<&Value>,
) -> Setting {
    let Explanation { path, value, fault, steps } = explanation;
    let masked = |text: &str| cut(mask.hide(&path, text));
    let place = |step: &tusk_config::Step| {
        let place = step.location.as_ref().map(ToString::to_string).unwrap_or_default();
        let root = format!("{}/", root.display());
        place.strip_prefix(&root).unwrap_or(&place).to_owned()
    };
    let value = value.and_then(|value| serde_json::to_value(value).ok());
    let mut steps = steps.iter();
    let first = steps.next();
    let origins = first.into_iter().flat_map(|step| &step.origins).filter(|it| it.depth == 0);
    Setting {
        value: value.map_or_else(
            || format!("none: {}", fault.unwrap_or_default()),
            |value| masked(&text(&value)),
        ),
        place: first.map(place).unwrap_or_default(),
        // A variable is told of, and not its value.
        origins: origins.map(|origin| cut(mask.hide("", &origin.text))).collect(),
        replaced: steps.map(|step| (place(step), masked(&step.written))).collect(),
        runs_with: runs_with.map(|value| masked(&text(value))),
        path,
    }
}

/// A value as people write it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: String) -> String {
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    text.chars().take(VALUE_MAX).chain(['…']).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read_from(
        files: &[(&str, &str)],
        variables: &[(&str, &str)],
        said: &[(&str, Value)],
    ) -> Vec<Setting> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("config");
        for (name, text) in files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let names = super::files(&folder, "a-service", &["a-service", "b"]).unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(owned).collect();
        let said = said.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
        explained(root.path(), &folder, "a-service", &names, variables, &said).unwrap()
    }

    #[test]
    fn a_setting_tells_where_it_is_from_and_what_it_replaced() {
        let files = [
            ("cache.tsk", "[cache]\nttl: 5s\nsize: @env(\"SIZE\", 3)\n"),
            ("b.tsk", "[cache]\nttl: 9s\n"),
            ("a-service.tsk", "[own]\nname: @env(\"NAME\", \"x\")\n"),
            ("environments/development/cache.tsk", "[cache]\nttl: 7s\n"),
        ];
        let settings = read_from(&files, &[("SIZE", "4")], &[("cache.ttl", "6s".into())]);
        let paths: Vec<&str> = settings.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["cache.ttl", "cache.size", "own.name"]);
        let [ttl, size, name] = &settings[..] else { unreachable!() };
        assert_eq!((ttl.value.as_str(), ttl.runs_with.as_deref()), ("7s", Some("6s")));
        assert!(ttl.place.starts_with("config/environments/development/cache.tsk:2:"));
        let before = &ttl.replaced[0];
        assert!(before.0.starts_with("config/cache.tsk:2:") && before.1 == "5s", "{before:?}");
        assert_eq!((size.value.as_str(), &size.origins[0][..]), ("4", "SIZE is set"));
        let default = "NAME is not set, its default stands in";
        assert_eq!((name.value.as_str(), &name.origins[0][..]), ("x", default));
    }

    #[test]
    fn no_secret_is_shown_wherever_it_comes_from() {
        let files = [(
            "a-service.tsk",
            "[own]\nurl: @env.secure(\"DATABASE_URL\")\npassword: @env(\"PASSWORD\", \"guest-default\")\n\
             mail: @env(\"SMTP_URL\", \"\")\nother: @env(\"OTHER\", \"\")\nttl_token: 3\n",
        )];
        let variables = [
            ("DATABASE_URL", "postgres://me:canary-1@host/db"),
            ("PASSWORD", "canary-2"),
            ("SMTP_URL", "smtp://me:canary-3@host"),
            ("OTHER", "it holds canary-2, too"),
        ];
        let settings = read_from(&files, &variables, &[]);
        let shown = format!("{settings:?}");
        assert!(!shown.contains("canary") && !shown.contains("guest-default"), "{shown}");
        assert_eq!(settings[2].value, "smtp://me:[secret]@host");
        assert_eq!(settings[4].value, "3");
    }
}
