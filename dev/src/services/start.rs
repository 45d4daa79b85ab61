//! A process of a binary of the workspace: from what it would be started now, and started.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use testkit::native::{Launch, clean_environment};

use super::{DASHBOARD, SIMULATOR, environment, environment::owned};
use crate::{
    dashboard, fault,
    origin::{self, Origin},
    ports::Ports,
    project::Project,
    run_files::{self, RunFiles},
    secrets::Secrets,
    servers::Addresses,
    state::{Kind, Process},
    wires::{self, PROXY},
};

/// A service, the simulator, or the proxy, as it would be started now.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// 0 without one of its own.
    pub(crate) port: u16,
    pub(crate) binary: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) origin: Origin,
}

impl Start {
    /// The dashboard, the proxy, the simulator and the services of services.tsk, in the order of starting.
    pub(crate) fn all(
        project: &Project,
        secrets: &Secrets,
        addresses: &Addresses,
        ports: &Ports,
    ) -> Result<Vec<Self>> {
        let port = ports.get(SIMULATOR).copied().unwrap_or_default();
        let [faults, wires] = [fault::file(project), wires::file(project)];
        let [faults, wires] = [faults, wires].map(|path| path.display().to_string());
        // Not `…_FILE`: what stands in such a file would be a setting of the process, which is older than it then.
        let faults = ("FAULTS_PATH", faults.as_str());
        let variables = owned(&[faults, ("WIRES_PATH", &wires)]);
        // It has no port of its own.
        let proxy = Self::of(project, PROXY, 0, variables, &[]);
        let variables = owned(&[("HOST", "127.0.0.1"), ("PORT", &port.to_string()), faults]);
        let simulator = Self::of(project, SIMULATOR, port, variables, &[]);
        let port = ports.get(DASHBOARD).copied().unwrap_or_default();
        let variables = dashboard::variables(project, secrets, port)?;
        let dashboard = Self::of(project, DASHBOARD, port, variables, &[]);
        let services = project.services().iter().map(|service| {
            let name = &service.name;
            let variables = environment(project, secrets, addresses, ports, service)?;
            let files = origin::settings_files(project, name)?;
            let port = ports.get(name).copied().unwrap_or_default();
            Self::of(project, name, port, variables, &files)
        });
        [dashboard, proxy, simulator].into_iter().chain(services).collect()
    }

    fn of(
        project: &Project,
        name: &str,
        port: u16,
        variables: Vec<(String, String)>,
        files: &[PathBuf],
    ) -> Result<Self> {
        let kind = Kind::of(name);
        let binary = project.binaries().join(name);
        let origin = Origin::now(&binary, files, &variables)?;
        Ok(Self { name: name.to_owned(), kind, port, binary, variables, origin })
    }

    /// What has changed since this process was started.
    pub(crate) fn changed_since(&self, process: &Process) -> Vec<&'static str> {
        // Of one that an earlier version of this tool has started, nothing is known.
        let origin = process.origin.as_ref();
        origin.map_or_else(|| vec!["binary"], |origin| origin.older_than(&self.origin))
    }

    /// All that it gets besides what every program inherits: of the user's shell what its settings read,
    /// and before that the variables of its own.
    pub(crate) fn environment(&self, project: &Project) -> Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        match self.kind {
            Kind::Service => {
                let files = origin::settings_files(project, &self.name)?;
                variables.extend(origin::of_shell(&files)?);
            }
            Kind::Tool => variables.extend(dashboard::of_shell(project)?),
            Kind::Simulator | Kind::Server => {}
        }
        variables.extend(self.variables.iter().cloned());
        Ok(variables)
    }

    /// Has a service check its settings, as it would at its start.
    pub(crate) fn check(&self, project: &Project) -> Result<()> {
        if self.kind != Kind::Service {
            return Ok(());
        }
        let mut command = Command::new(&self.binary);
        command.arg("--check-config").current_dir(project.root());
        clean_environment(&mut command);
        let checked = command.envs(self.environment(project)?).output();
        let checked = checked.with_context(|| format!("run {}", self.binary.display()))?;
        if !checked.status.success() {
            bail!("{}", String::from_utf8_lossy(&checked.stderr).trim_end());
        }
        Ok(())
    }

    /// Starts it; where a predecessor runs, as the one that takes its listeners over.
    pub(crate) fn spawn(
        &self,
        project: &Project,
        predecessor: Option<&Process>,
    ) -> Result<Process> {
        let files = RunFiles::take(project, &self.name)?;
        let log = run_files::log(project, &self.name)?;
        let launch = Launch::new(&self.binary, &log).append(true).current_dir(project.root());
        let launch = launch.owner(&files.owner)?;
        let variables = self.environment(project)?.into_iter();
        let launch = variables.fold(launch, |launch, (name, value)| launch.env(&name, value));
        let takeover = files.takeover.filter(|_| self.kind == Kind::Service);
        // Not among the variables that make it older than its settings: they differ at each start.
        let paths = [
            ("TAKEOVER_SOCKET", takeover.as_ref()),
            ("TAKEOVER_FROM", predecessor.and_then(|process| process.takeover.as_ref())),
        ];
        let paths = paths.into_iter();
        let launch = paths.fold(launch, |launch, (name, path)| {
            launch.env(name, path.map_or_else(Default::default, |path| path.as_os_str().to_owned()))
        });
        let log_start = run_files::length(&log);
        let process = launch.spawn()?;
        Ok(Process {
            port: Some(self.port).filter(|port| *port != 0),
            origin: Some(self.origin.clone()),
            log_start,
            takeover,
            ..Process::of(&self.name, process, project)
        })
    }
}
