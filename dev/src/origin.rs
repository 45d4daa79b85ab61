//! What a running process was started from: its binary and its settings, each as a mark that differs
//! once the thing has changed.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{project::Project, template::hex};

/// The marks of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// When the binary was written, and its size: cargo writes only what it compiles anew.
    binary: String,
    /// A hash of the files it reads and the variables it is given. No variable can be told from it.
    settings: String,
}

impl Origin {
    /// What the process would be started from now.
    pub(crate) fn now(
        binary: &Path,
        files: &[PathBuf],
        variables: &[(String, String)],
    ) -> Result<Self> {
        let settings = hash(files, &read_by(files, variables)?)?;
        Ok(Self { binary: mark(binary), settings })
    }

    /// What has changed since, in the words of `cargo dev status`.
    pub(crate) fn older_than(&self, now: &Self) -> Vec<&'static str> {
        let binary = (self.binary != now.binary).then_some("binary");
        let settings = (self.settings != now.settings).then_some("settings");
        binary.into_iter().chain(settings).collect()
    }
}

/// The settings files that a service reads: those of all, and its own; of each environment, too.
pub(crate) fn settings_files(project: &Project, service: &str) -> Result<Vec<PathBuf>> {
    let folder = project.path("config");
    let mut folders = vec![folder.clone()];
    if let Ok(environments) = fs::read_dir(folder.join("environments")) {
        let entries = environments.filter_map(Result::ok).map(|entry| entry.path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    let is_of_another = |path: &Path| {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        name != service && project.services().iter().any(|other| other.name == name)
    };
    let mut files = Vec::new();
    for folder in folders {
        let doing = || format!("read {}", folder.display());
        for item in fs::read_dir(&folder).with_context(doing)? {
            let path = item.with_context(doing)?.path();
            if path.extension().is_some_and(|ending| ending == "tsk") && !is_of_another(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What a service gets of the shell that the tool is called in, beyond what every program gets
/// ([`testkit::native::clean_environment`]): the variables that the user has set, of those that these settings
/// files read; a secret's may name a file instead.
pub(crate) fn of_shell(files: &[PathBuf]) -> Result<Vec<(String, String)>> {
    let read = tusk_config::variables(files)?.into_iter();
    let names = read.flat_map(|variable| [format!("{}_FILE", variable.name), variable.name]);
    Ok(names.filter_map(|name| env::var(&name).ok().map(|value| (name, value))).collect())
}

/// The variables given, and those that the settings read from the environment which a process
/// inherits; a secret's may name a file instead.
fn read_by(files: &[PathBuf], given: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let mut all: BTreeMap<String, String> = of_shell(files)?.into_iter().collect();
    all.extend(given.iter().cloned());
    // What stands in a file that a variable names is as good as the variable's own value.
    let named = all.iter().filter(|(name, _)| name.ends_with("_FILE"));
    let read = named.filter_map(|(name, file)| Some((name.clone(), fs::read(file).ok()?)));
    let read: Vec<(String, Vec<u8>)> = read.collect();
    all.extend(read.into_iter().map(|(name, text)| {
        (format!("{name} holds"), String::from_utf8_lossy(&text).into_owned())
    }));
    Ok(all)
}

fn mark(binary: &Path) -> String {
    let mark = fs::metadata(binary).and_then(|data| Ok((data.modified()?, data.len())));
    mark.map_or_else(
        |_| "absent".to_owned(),
        |(time, size)| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{}.{:09}-{size}", since.as_secs(), since.subsec_nanos())
        },
    )
}

fn hash(files: &[PathBuf], variables: &BTreeMap<String, String>) -> Result<String> {
    let mut hasher = Sha256::new();
    // With its length before it, no part runs into the next.
    let mut add = |part: &[u8]| {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    };
    for file in files {
        let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        add(file.as_os_str().as_encoded_bytes());
        add(&text);
    }
    for (name, value) in variables {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_changed_binary_file_or_variable_is_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let [binary, file] = ["binary", "a.tsk"].map(|name| folder.path().join(name));
        fs::write(&binary, "one").unwrap();
        fs::write(&file, "key: 1\n").unwrap();
        let now = |variables: &[(String, String)]| {
            Origin::now(&binary, std::slice::from_ref(&file), variables).unwrap()
        };
        let before = now(&given("NAME", "a"));
        assert!(before.older_than(&now(&given("NAME", "a"))).is_empty());
        assert_eq!(before.older_than(&now(&given("NAME", "b"))), ["settings"]);
        assert_eq!(before.older_than(&now(&given("NAM", "Ea"))), ["settings"]);

        fs::write(&file, "key: 2\n").unwrap();
        assert_eq!(before.older_than(&now(&given("NAME", "a"))), ["settings"]);

        let secret = folder.path().join("secret");
        let named = given("SECRET_FILE", secret.to_str().unwrap());
        fs::write(&secret, "one").unwrap();
        let with_secret = now(&named);
        assert!(with_secret.older_than(&now(&named)).is_empty());
        fs::write(&secret, "two").unwrap();
        assert_eq!(with_secret.older_than(&now(&named)), ["settings"]);
        fs::write(&binary, "other").unwrap();
        assert_eq!(before.older_than(&now(&given("NAME", "a"))), ["binary", "settings"]);
    }

    #[test]
    fn settings_with_a_fault_are_an_error_before_anything_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tsk");
        fs::write(&file, "[[[\n").unwrap();
        Origin::now(&file, std::slice::from_ref(&file), &[]).unwrap_err();
    }

    #[test]
    fn what_an_environment_lays_over_the_settings_counts_too() {
        let root = tempfile::tempdir().unwrap();
        let project = Project::fixture(root.path());
        let overlay = root.path().join("config/environments/development");
        fs::create_dir_all(&overlay).unwrap();
        for file in ["payment-service.tsk", "user-service.tsk", "cache.tsk"] {
            fs::write(overlay.join(file), "[worker]\nconcurrency: 3\n").unwrap();
        }
        let files = settings_files(&project, "payment-service").unwrap();
        let laid_over: Vec<_> = files.iter().filter(|file| file.starts_with(&overlay)).collect();
        assert_eq!(laid_over, [&overlay.join("cache.tsk"), &overlay.join("payment-service.tsk")]);
    }
}
