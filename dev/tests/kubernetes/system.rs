//! What the rest of the repository says: services, settings, variables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tusk_config::{Config, Loader, Variable, Vars};

/// The workspace's root, or that of the copy that `WORKSPACE` names.
#[allow(clippy::disallowed_methods, reason = "what is tested is no setting of a service")]
pub(crate) fn root() -> PathBuf {
    if let Some(copy) = std::env::var_os("WORKSPACE") {
        return copy.into();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file, by its path from the root.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the folders in a folder, sorted.
pub(crate) fn folders(path: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(path)).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A service, as its settings and sources have it.
pub(crate) struct Service {
    pub(crate) name: String,
    /// The files that it reads, with `.tsk`.
    pub(crate) files: BTreeSet<String>,
    /// Where it listens.
    pub(crate) port: u16,
    /// Where its callers find it.
    pub(crate) called_port: u16,
    /// How long it may take to end.
    pub(crate) grace_period: Duration,
}

/// All that manifests have to agree with.
pub(crate) struct System {
    pub(crate) services: Vec<Service>,
    /// The settings of `scaling.tsk` and `microservices.tsk`, with no variable set.
    scaling: Config,
    /// The variables that are read, by name.
    pub(crate) variables: BTreeMap<String, Variable>,
}

impl System {
    pub(crate) fn load() -> Self {
        let load = |files: &[&str]| {
            let loader = Loader::new(root().join("config")).vars(Vars::empty());
            files.iter().fold(loader, |loader, file| loader.file(file)).tree().unwrap()
        };
        let names = folders("services").into_iter();
        let services = names.map(|name| Service::new(&load(&["services", &name]), name)).collect();
        let variables = tusk_config::variables([root().join("config")]).unwrap();
        let variables = variables.into_iter().map(|variable| (variable.name.clone(), variable));
        Self {
            services,
            scaling: load(&["scaling", "microservices"]),
            variables: variables.collect(),
        }
    }

    /// A number of `[scaling]`.
    pub(crate) fn scaling(&self, key: &str) -> u64 {
        self.scaling.get(&format!("scaling.{key}")).unwrap()
    }

    /// The environments in which a service refuses a server without TLS.
    pub(crate) fn tls_required_in(&self) -> Vec<String> {
        self.scaling.get("tls.required_in").unwrap()
    }

    pub(crate) fn scales_by_itself(&self) -> bool {
        self.scaling.get("scaling.auto_scaling").unwrap()
    }

    /// The variables that have to be set for a service: what its files require, but the tokens with
    /// which others prove themselves are read by user-service alone.
    pub(crate) fn required<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a str> {
        let is_read = |variable: &&Variable| {
            let mut files = variable.locations.iter().map(|place| file_name(place.file()));
            variable.required && files.any(|file| service.files.contains(file))
        };
        let names = self.variables.values().filter(is_read).map(|found| found.name.as_str());
        names.filter(|name| {
            let is_token = name.ends_with("_SERVICE_TOKEN");
            !is_token || service.name == "user-service" || *name == service.variable("TOKEN")
        })
    }
}

impl Service {
    fn new(settings: &Config, name: String) -> Self {
        let shared = text("crates/platform/src/settings.rs");
        let (_, list) = shared.split_once("SHARED_FILES: [(&str, &[&str]); 8] = [").unwrap();
        let (list, _) = list.split_once("\n];").unwrap();
        let file = |entry: &str| entry.split('"').nth(1).map(str::to_owned);
        let files = list.split('(').skip(1).filter_map(file).chain([name.clone()]);
        let files = files.map(|file| format!("{file}.tsk")).collect();
        Self {
            files,
            port: settings.get("server.port").unwrap(),
            called_port: settings.get(&format!("service:{name}.port")).unwrap(),
            grace_period: settings.get("server.grace_period").unwrap(),
            name,
        }
    }

    /// `USER_SERVICE_<SUFFIX>`.
    pub(crate) fn variable(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.name.replace('-', "_").to_uppercase())
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
