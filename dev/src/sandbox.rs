//! A place for the servers of one run of a command: fresh, in a folder that no other run uses, gone afterwards.
//!
//! Two runs can be at work at once, each in a sandbox of its own. A sandbox whose run was killed is
//! cleaned by the next one that takes it.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use testkit::native::{ServerOptions, remove_data, servers_in};

use crate::{
    private,
    project::Project,
    servers::Source,
    state::{Process, stop_all},
    wires::SERVERS,
};

/// How many runs can be at work at once.
const SANDBOXES: usize = 8;

/// A folder for the servers of one run, held until dropped.
#[derive(Debug)]
pub(crate) struct Sandbox {
    folder: PathBuf,
    _lock: File,
}

impl Sandbox {
    /// Takes a free sandbox and ends what a killed run has left in it.
    pub(crate) fn take(project: &Project) -> Result<Self> {
        private::folders(project)?;
        for number in 1..=SANDBOXES {
            let folder = project.dev(&format!("test/{number}"));
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
            let lock = private::lock(&folder.join("lock")).context("open the sandbox's lock")?;
            if lock.try_lock().is_ok() {
                let sandbox = Self { folder, _lock: lock };
                sandbox.clean()?;
                return Ok(sandbox);
            }
        }
        bail!("{SANDBOXES} runs are at work already; wait for one to end")
    }

    fn clean(&self) -> Result<()> {
        for server in SERVERS {
            let folder = self.folder.join(server);
            let left = servers_in(&folder);
            let left: Vec<Process> =
                left.iter().map(|member| Process::server(member, None, &folder)).collect();
            stop_all(&left, |process, _| {
                println!("stopped {} of an earlier run that was killed", process.name);
            })?;
            remove_data(&folder)?;
        }
        Ok(())
    }

    /// Where a server of this sandbox is to run.
    pub(crate) fn source(&self, server: &str) -> Source {
        self.start_at(ServerOptions::thrown_away(self.folder.join(server)), server)
    }

    /// The same for a server that waits for the disk, as in production; the next run that takes the sandbox
    /// removes its data.
    pub(crate) fn durable(&self, server: &str) -> Source {
        self.start_at(ServerOptions::kept(self.folder.join(server)), server)
    }

    fn start_at(&self, options: ServerOptions, server: &str) -> Source {
        Source::Start(options.log(self.log(server)))
    }

    /// Prints the last lines of a server's log that begin to tell of an error or of an alarm.
    pub(crate) fn print_faults(&self, server: &str) {
        let log = fs::read_to_string(self.log(server)).unwrap_or_default();
        // What an error tells further is indented behind the process that tells it.
        let begins =
            |line: &str| line.split_once("> ").is_some_and(|(_, text)| !text.starts_with(' '));
        let is_fault =
            |line: &&str| line.contains("alarm") || line.contains("[error]") && begins(line);
        let faults: Vec<&str> = log.lines().filter(is_fault).collect();
        println!(
            "{} lines in the log of {server} tell of errors and alarms; the last:",
            faults.len()
        );
        faults.iter().rev().take(20).rev().for_each(|line| println!("  {line}"));
    }

    fn log(&self, server: &str) -> PathBuf {
        self.folder.join(format!("{server}.log"))
    }
}
