//! What a service runs under.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use testkit::native::find::on_path;

use crate::{env::shell, programs, project::Project, run_files, services::Start};

/// Becomes the service once somebody traces it, or SIGCONT has come: its process id is known before.
const WAITING: &str = r#"trap 'go=1' CONT
while [ -z "$go" ] && ! grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$$/status; do sleep 0.1; done
exec "$0" "$@""#;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Debugger {
    /// Nothing: its log is shown
    None,
    /// GDB, on this terminal
    Gdb,
    /// LLDB, on this terminal
    Lldb,
    /// Begins once a debugger is attached, such as an editor's
    Wait,
}

impl Debugger {
    /// Whether a person talks to it on this terminal.
    pub(super) fn is_interactive(self) -> bool {
        matches!(self, Self::Gdb | Self::Lldb)
    }

    /// The program; an error with the lines to run when it is not on this machine.
    pub(super) fn find(self, project: &Project, service: &str) -> Result<PathBuf> {
        // Those of the toolchain know the types of the standard library, where the others are there.
        let (own, name, package) = match self {
            Self::None => return Ok(project.binaries().join(service)),
            Self::Wait => return Ok(on_path("sh").unwrap_or_else(|| "/bin/sh".into())),
            Self::Gdb => ("rust-gdb", "gdb", "gdb"),
            Self::Lldb => ("rust-lldb", "lldb", "lldb"),
        };
        let Some(plain) = on_path(name) else {
            bail!(
                "{name} is not on this machine (Debian's package is {package}). By hand:\n\n{}",
                by_hand(project, service)
            );
        };
        let answers = |program: &PathBuf| programs::works(Command::new(program).arg("--version"));
        Ok(on_path(own).filter(answers).unwrap_or(plain))
    }

    /// The command line, without its environment.
    pub(super) fn command(
        self,
        project: &Project,
        start: &Start,
        program: PathBuf,
        arguments: &[String],
    ) -> Command {
        let mut command = Command::new(program);
        let lock = run_files::folder(project).join(format!("{}.lock", start.name));
        match self {
            Self::None => command.args(arguments),
            Self::Wait => command.args(["-c", WAITING]).arg(&start.binary).args(arguments),
            Self::Gdb => {
                let set = gdb_arguments(arguments, &lock, &project.log(&start.name));
                command.args(["--quiet", "-ex", &set]).arg(&start.binary)
            }
            Self::Lldb => {
                let input = format!("settings set target.input-path {}", lock.display());
                command.args(["-o", &input]).arg(&start.binary).arg("--").args(arguments)
            }
        };
        command
    }

    /// Says what to do now.
    pub(super) fn introduce(self, project: &Project, start: &Start, command: &Command, pid: u32) {
        let name = &start.name;
        match self {
            Self::None => {
                println!("{name} runs in the foreground on port {}; Ctrl-C drains it", start.port);
            }
            Self::Gdb | Self::Lldb => {
                println!("{}", line(command));
                println!("set breakpoints, then `run`; the service listens on port {}", start.port);
                println!("its log: {}", project.command(&format!("logs {name} --follow")));
            }
            Self::Wait => {
                println!(
                    "{name} is process {pid} and waits for a debugger; break, then `continue`:"
                );
                println!("  gdb -p {pid} -ex 'set breakpoint pending on'");
                println!("  lldb -p {pid}");
                let env = project.command(&format!("env {name} --vscode"));
                println!("  Visual Studio Code: the second entry of `{env}`");
                println!("without a debugger: kill -CONT {pid}");
                let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
                let is_narrow = scope.is_ok_and(|scope| scope.trim() != "0");
                if is_narrow && !rustix::process::geteuid().is_root() {
                    println!(
                        "this machine lets a debugger attach to its own children only; \
                         allow it with: sudo sysctl kernel.yama.ptrace_scope=0"
                    );
                }
            }
        }
    }
}

/// The shell that starts the service gives it its lock as input, and its log as output.
fn gdb_arguments(arguments: &[String], lock: &Path, log: &Path) -> String {
    let arguments: Vec<String> = arguments.iter().map(|word| shell(word)).collect();
    let word = |path: &Path| shell(&path.display().to_string());
    let streams = format!("< {} >> {} 2>&1", word(lock), word(log));
    format!("set args {}", [arguments.join(" "), streams].join(" ").trim_start())
}

/// The command as a line for a shell.
fn line(command: &Command) -> String {
    let program = shell(&command.get_program().to_string_lossy());
    let words = command.get_args().map(|word| shell(&word.to_string_lossy()));
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

/// How it is done without this tool, on a machine that may have another debugger.
fn by_hand(project: &Project, service: &str) -> String {
    let binary = project.binaries().join(service).display().to_string();
    let binary = shell(&binary);
    let command = |word: &str| project.command(&format!("{word} {service}"));
    let stop = command("stop");
    let env = command("env");
    format!(
        "  {stop}\n  \
         eval \"$({env})\"\n  \
         gdb --quiet {binary}          # then: run\n  \
         lldb {binary}                 # then: run\n\n\
         Visual Studio Code (with CodeLLDB): {env} --vscode > .vscode/launch.json"
    )
}
