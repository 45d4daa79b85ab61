//! Where things are: the workspace, and the folder of what the tool leaves behind.

use std::{
    env,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    namespaces, private,
    services::{self, Service},
};

/// How often it is looked whether the other run is done.
const POLL: Duration = Duration::from_millis(50);

/// The workspace this tool belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    root: PathBuf,
    services: Vec<Service>,
    is_offline: bool,
    namespace: Option<String>,
}

impl Project {
    /// Looks upwards from the working folder.
    pub(crate) fn find() -> Result<Self> {
        let here = env::current_dir().context("read the working folder")?;
        let is_root = |folder: &&Path| {
            folder.join("dev/Cargo.toml").exists() && folder.join("config").is_dir()
        };
        let root = here.ancestors().find(is_root).with_context(|| {
            format!("no workspace above {}: run this inside the project", here.display())
        })?;
        Self::at(root)
    }

    /// The workspace of this folder.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        let services = services::read(&root.join("config"))?;
        Ok(Self { root: root.to_owned(), services, is_offline: false, namespace: None })
    }

    /// A workspace in a folder that has nothing but the services' names.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(crate) fn fixture(root: &Path) -> Self {
        let services = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("config/services.tsk");
        std::fs::create_dir_all(root.join("config")).unwrap();
        std::fs::copy(services, root.join("config/services.tsk")).unwrap();
        Self::at(root).unwrap()
    }

    /// The same, whose system is the one of this name; none is the system without a namespace.
    pub(crate) fn in_namespace(self, namespace: Option<String>) -> Self {
        Self { namespace, ..self }
    }

    /// The name of its system.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// A command of this tool that works on the same system, as the user writes it.
    pub(crate) fn command(&self, words: &str) -> String {
        let flag = self.namespace().map(|name| format!("--namespace {name} ")).unwrap_or_default();
        format!("cargo dev {flag}{words}")
    }

    /// The same, with the services that services.tsk names now.
    pub(crate) fn read_again(&self) -> Result<Self> {
        Ok(Self { services: services::read(&self.root.join("config"))?, ..self.clone() })
    }

    /// The same, whose cargo asks for nothing from the network.
    pub(crate) fn offline(self, is_offline: bool) -> Self {
        Self { is_offline, ..self }
    }

    /// The top of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The services of services.tsk, in the order of their ports.
    pub(crate) fn services(&self) -> &[Service] {
        &self.services
    }

    /// The service of this name; an error that names those that there are when it is none of them.
    pub(crate) fn service(&self, name: &str) -> Result<&Service> {
        let found = self.services.iter().find(|service| service.name == name);
        found.with_context(|| {
            let known: Vec<&str> = self.services.iter().map(|known| &*known.name).collect();
            format!("there is no {name} in services.tsk; there are: {}", known.join(", "))
        })
    }

    /// A path inside the workspace.
    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.root.join(inner)
    }

    /// The same of a path that is noted in the state.
    pub(crate) fn path_of(&self, inner: &Path) -> PathBuf {
        self.root.join(inner)
    }

    /// `.dev/<inner>`, or `.dev/namespaces/<name>/<inner>`: data, logs and state; not under version
    /// control.
    pub(crate) fn dev(&self, inner: &str) -> PathBuf {
        self.dev_folders().pop().unwrap_or_default().join(inner)
    }

    /// The folder that holds what the system leaves behind, and those around it, which are made first.
    pub(crate) fn dev_folders(&self) -> Vec<PathBuf> {
        let outer = self.root.join(".dev");
        let all = outer.join(namespaces::FOLDER);
        let own = self.namespace().map(|name| all.join(name));
        own.map_or_else(|| vec![outer.clone()], |own| vec![outer.clone(), all, own])
    }

    /// The log of a process that `up` starts.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dev("logs").join(format!("{name}.log"))
    }

    /// Where cargo puts binaries.
    pub(crate) fn binaries(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        self.root.join(target.unwrap_or_else(|| "target".into())).join("debug")
    }

    /// The cargo that runs us, at the top of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        if self.is_offline {
            command.env("CARGO_NET_OFFLINE", "true");
        }
        // Of the package that `cargo dev` itself is; build scripts of others must not see them.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
    }

    /// Keeps a second run of a command that starts or stops the system out, until dropped.
    pub(crate) fn lock(&self) -> Result<File> {
        self.lock_within(Duration::ZERO)
    }

    /// The same, once another run that is at work is done; an error when that takes longer.
    pub(crate) fn lock_within(&self, limit: Duration) -> Result<File> {
        private::folders(self)?;
        let path = self.dev("lock");
        let file = private::lock(&path).with_context(|| format!("open {}", path.display()))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if start.elapsed() < limit => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    bail!(
                        "another `cargo dev up`, `down`, `restart` or `stop` is at work; try again when it is done"
                    )
                }
                Err(TryLockError::Error(error)) => return Err(error).context("lock .dev/lock"),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn read_again_it_is_the_same_system() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let demo = Project::at(root).unwrap().in_namespace(Some("demo".to_owned())).offline(true);
        let again = demo.read_again().unwrap();
        assert_eq!((again.dev(""), again.is_offline), (demo.dev(""), true));
    }
}
