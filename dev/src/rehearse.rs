//! `cargo dev rehearse`: the composed system, and what becomes of it when its containers die.
//!
//! ```text
//! up --build ─▶ all healthy ─▶ scenario ─▶ for each container: killed ─▶ back, all healthy ─▶ scenario ─▶ down
//! ```
//!
//! It is a composition of its own name, with volumes of its own: one that runs already is not
//! touched, but has to make room on the ports.

use std::{process::Command, process::ExitCode, time::Duration, time::Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{interrupt::Interrupt, programs, project::Project, smoke};

const NAME: &str = "tusk-rehearsal";
/// How long everything may take to be healthy, from nothing or after a kill.
const HEALTHY_LIMIT: Duration = Duration::from_mins(3);
/// An image of the composition that has a shell.
const TOOLS: &str = "postgres:17-bookworm";

pub(crate) fn run(project: &Project, interrupt: &Interrupt) -> Result<ExitCode> {
    ensure!(has_engine(), "there is no Docker engine: `docker info` fails");
    ensure!(has_compose(), "there is no `docker compose`");
    let stage = Stage { project, interrupt };
    let outcome = stage.rehearse();
    if outcome.is_err() {
        let _shown_or_not = stage.compose(&["logs", "--no-color", "--tail", "50"]);
    }
    // Also when we were interrupted: nothing is left behind.
    let mut down = stage.command(&["down", "--volumes", "--timeout", "30"]);
    let status = down.status().context("start docker compose")?;
    ensure!(status.success() || outcome.is_err(), "the system did not go down");
    outcome.map(|()| ExitCode::SUCCESS)
}

pub(crate) fn has_engine() -> bool {
    programs::works(Command::new("docker").arg("info"))
}

pub(crate) fn has_compose() -> bool {
    programs::works(Command::new("docker").args(["compose", "version"]))
}

/// A container of the composition, as Docker shows it.
struct Container {
    id: String,
    service: String,
    /// `Up 3 seconds (healthy)`, `Exited (0) 5 seconds ago`.
    status: String,
}

impl Container {
    fn has_done_its_work(&self) -> bool {
        self.status.starts_with("Exited (0)")
    }

    fn is_well(&self) -> bool {
        self.has_done_its_work() || self.status.ends_with("(healthy)")
    }
}

struct Stage<'a> {
    project: &'a Project,
    interrupt: &'a Interrupt,
}

impl Stage<'_> {
    fn rehearse(&self) -> Result<()> {
        let begin = Instant::now();
        self.compose(&["up", "--build", "--detach"])?;
        self.until("everything is healthy", are_well)?;
        println!("== up and healthy after {} s", begin.elapsed().as_secs());
        smoke::at_usual_ports(self.project, self.interrupt)?;
        for container in containers()? {
            if !container.has_done_its_work() {
                self.kill(&container)?;
                smoke::at_usual_ports(self.project, self.interrupt)?;
            }
        }
        Ok(())
    }

    /// Ends the container's process as a crash would, and waits until all are well again.
    fn kill(&self, container: &Container) -> Result<()> {
        let Container { id, service, .. } = container;
        let ask = |what: &str| inspect(id, what);
        let pid = ask("{{.State.Pid}}")?;
        let before = ask("{{.RestartCount}}")?;
        println!("== {service} is killed");
        let begin = Instant::now();
        // `docker kill` counts as a wish, after which Docker lets it lie.
        let words = ["run", "--rm", "--user=0", "--pid=host", "--entrypoint", "sh", TOOLS];
        programs::output(
            Command::new("docker").args(words).args(["-c", &format!("kill -9 {pid}")]),
        )?;
        self.until(&format!("{service} is back"), || {
            Ok(ask("{{.RestartCount}}")? != before && are_well()?)
        })?;
        println!(
            "== {service} is back, and all are healthy, after {} s",
            begin.elapsed().as_secs()
        );
        Ok(())
    }

    fn until(&self, what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        let found = self.interrupt.poll(HEALTHY_LIMIT, || Ok(is_so()?.then_some(())))?;
        let state = || -> Result<String> {
            let lines = containers()?.into_iter().map(|c| format!("{}: {}", c.service, c.status));
            Ok(lines.collect::<Vec<_>>().join("\n"))
        };
        match found {
            Some(()) => Ok(()),
            None => bail!("{what}: not within {} s\n{}", HEALTHY_LIMIT.as_secs(), state()?),
        }
    }

    fn compose(&self, words: &[&str]) -> Result<()> {
        programs::succeed(&mut self.command(words), self.interrupt)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", NAME]).args(words);
        command.current_dir(self.project.root());
        command
    }
}

fn are_well() -> Result<bool> {
    let containers = containers()?;
    if let Some(failed) = containers
        .iter()
        .find(|container| container.status.starts_with("Exited") && !container.has_done_its_work())
    {
        // One that restarts is shown as `Restarting`.
        bail!("{} ended: {}", failed.service, failed.status);
    }
    Ok(containers.iter().all(Container::is_well))
}

/// All containers of the composition.
fn containers() -> Result<Vec<Container>> {
    let of_ours = format!("label=com.docker.compose.project={NAME}");
    let line = r#"{{.ID}};{{.Label "com.docker.compose.service"}};{{.Status}}"#;
    let list = ["ps", "--all", "--filter", &of_ours, "--format", line];
    let listed = programs::output(Command::new("docker").args(list))?;
    let container = |line: &str| {
        let mut parts = line.splitn(3, ';').map(str::to_owned);
        let id = parts.next()?;
        let service = parts.next()?;
        let status = parts.next()?;
        Some(Container { id, service, status })
    };
    let containers: Vec<_> = listed.lines().filter_map(container).collect();
    ensure!(!containers.is_empty(), "`docker ps` shows no container of {NAME}");
    Ok(containers)
}

fn inspect(id: &str, what: &str) -> Result<String> {
    let asked = programs::output(Command::new("docker").args(["inspect", "--format", what, id]))?;
    Ok(asked.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Container;

    #[test]
    fn a_container_is_well_when_it_is_healthy_or_has_done_its_work() {
        let is_well = |status: &str| {
            let (id, service) = (String::new(), String::new());
            Container { id, service, status: status.to_owned() }.is_well()
        };
        assert!(is_well("Up 3 seconds (healthy)") && is_well("Exited (0) 5 seconds ago"));
        let unwell =
            ["Up 3 seconds (health: starting)", "Up 3 seconds (unhealthy)", "Exited (1) now"];
        assert!(
            !unwell
                .into_iter()
                .chain(["Restarting (137) now", "Up 3 seconds", "Created"])
                .any(is_well)
        );
    }
}
