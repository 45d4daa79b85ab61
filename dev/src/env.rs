//! `cargo dev env`: what `up` gives a service in its environment, for a shell, an editor or a tool.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{ports, private, project::Project, secrets::Secrets, services::Start, state::State};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Passwords and keys are shown in clear: they are those of this machine's development system, and of no other.

  (eval \"$(cargo dev env payment-service)\"; target/debug/payment-service --check-config)
  cargo dev env payment-service --dotenv > payment.env    # for an editor's envFile
  cargo dev env payment-service --vscode                  # writes that file under .dev and prints a launch.json

The service that runs has the port: `cargo dev run payment-service --debugger wait` takes it over.")]
pub(crate) struct Args {
    /// The service
    service: String,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
struct Form {
    /// Prints lines as editors read them, NAME="value", instead of `export` lines
    #[arg(long)]
    dotenv: bool,
    /// Writes such a file under .dev and prints a launch.json for Visual Studio Code that uses it
    #[arg(long)]
    vscode: bool,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let start = start(project, &args.service)?;
    let variables: Vec<_> = start.environment(project)?.into_iter().collect();
    if args.form.dotenv {
        print!("{}", dotenv(&variables));
    } else if args.form.vscode {
        let file = env_file(project, &args.service);
        private::write_text(&file, &dotenv(&variables))?;
        eprintln!("written: {}", file.display());
        println!("{:#}", vscode(project, &args.service));
    } else {
        for (name, value) in &variables {
            println!("export {name}={}", shell(value));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How `up` would start this service on the system that is up.
pub(crate) fn start(project: &Project, service: &str) -> Result<Start> {
    project.service(service)?;
    let state = State::up(project)?;
    let ports = ports::choose(project, Some(&state));
    let starts = Start::all(project, &Secrets::load(project)?, &state.addresses, &ports)?;
    let start = starts.into_iter().find(|start| start.name == service);
    start.with_context(|| format!("`up` does not start {service}"))
}

fn env_file(project: &Project, service: &str) -> PathBuf {
    project.dev("env").join(format!("{service}.env"))
}

/// What belongs into `.vscode/launch.json`: one entry that starts the service, one that attaches to
/// what `cargo dev run --debugger wait` has started. For the extension `CodeLLDB`.
fn vscode(project: &Project, service: &str) -> Value {
    let inside = |path: PathBuf| {
        let inner = path.strip_prefix(project.root()).map(|inner| inner.display().to_string());
        inner.map_or_else(
            |_| path.display().to_string(),
            |inner| format!("${{workspaceFolder}}/{inner}"),
        )
    };
    let program = inside(project.binaries().join(service));
    json!({
        "version": "0.2.0",
        "configurations": [
            {
                "name": format!("{service} (after: cargo dev stop {service})"),
                "type": "lldb",
                "request": "launch",
                "program": program,
                "cwd": "${workspaceFolder}",
                "envFile": inside(env_file(project, service)),
                "sourceLanguages": ["rust"],
            },
            {
                "name": format!("{service} (after: cargo dev run {service} --debugger wait)"),
                "type": "lldb",
                "request": "attach",
                "program": program,
                "pid": "${command:pickMyProcess}",
                "sourceLanguages": ["rust"],
            },
        ],
    })
}

/// As a word of a POSIX shell; empty for what holds a NUL, which no variable and no argument does.
pub(crate) fn shell(value: &str) -> String {
    shlex::try_quote(value).unwrap_or_default().into_owned()
}

/// As dotenv files have it, in the quotes in which every reader of them understands the same.
fn dotenv(variables: &[(String, String)]) -> String {
    variables.iter().fold(String::new(), |mut text, (name, value)| {
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let _never_fails = writeln!(text, "{name}=\"{}\"", value.replace('$', r"\$"));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotenv_line_keeps_quotes_and_ends_where_the_value_does() {
        let variables =
            [("A".to_owned(), "x\"y\\z\n$HOME".to_owned()), ("B".to_owned(), String::new())];
        assert_eq!(dotenv(&variables), "A=\"x\\\"y\\\\z\\n\\$HOME\"\nB=\"\"\n");
    }
}
