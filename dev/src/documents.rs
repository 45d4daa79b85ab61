//! `cargo dev documents`: runs the commands that the documents show, as a reader would.
//!
//! A block of commands is a fenced one whose language is `console`; the words after it say how it is
//! held to what it shows:
//!
//! | words | what is done |
//! |---|---|
//! | (none) | run, from the root, in one shell; has to succeed |
//! | `fails` | run; has to fail |
//! | `needs=docker`, `needs=compose` | run where there is one, else skipped by name |
//! | `needs=cluster` | never run here: it wants a Kubernetes cluster |
//! | `in=.ci/run` | not run again: each command has to be a line of that file |
//! | `job=template` | takes minutes: run by `--job template`, a step of that job, and skipped by name elsewhere |

mod block;
mod links;

use std::{fs, path::Path, process::Command, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    down, folder, http, interrupt::Interrupt, programs, project::Project, template::ends_in,
    unrecorded,
};
use block::{Block, Held};

/// The documents whose commands are held to what they show, in the order in which they are run; those
/// in [`FOLDER`] come after them.
const FIRST: [&str; 3] = ["README.md", "CONTRIBUTING.md", "k8s/README.md"];
/// The folder all of whose documents are held so.
const FOLDER: &str = "docs";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs what is left to this job of continuous integration, and nothing else
    #[arg(long, value_parser = [block::JOB])]
    job: Option<String>,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut blocks = read(project.root())?;
    if args.job.is_some() {
        blocks.retain(|block| block.held == Held::InJob);
    }
    ensure!(
        unrecorded::with_state(project)?.is_none(),
        "the system is up, and the documents' commands would change it: `cargo dev down` first"
    );
    let outcome = blocks.iter().try_for_each(|block| match block.held {
        Held::InJob if args.job.is_none() => {
            println!("skipped: {} (cargo dev documents --job {})", block.place, block::JOB);
            Ok(())
        }
        _ => hold(project, block, interrupt),
    });
    // Also after a fault or a signal: nothing that the commands started is left behind.
    down::run(project)?;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Fails when a relative link in a document leads nowhere.
pub(crate) fn check_links(project: &Project) -> Result<()> {
    let dead = links::dead(project.root())?;
    ensure!(dead.is_empty(), "links that lead nowhere:\n  {}", dead.join("\n  "));
    Ok(())
}

/// The documents whose commands are held to what they show, from the root.
fn documents(root: &Path) -> Vec<String> {
    let names = folder::names(&root.join(FOLDER)).into_iter();
    let names = names.filter(|name| ends_in(name, "md")).map(|name| format!("{FOLDER}/{name}"));
    FIRST.map(str::to_owned).into_iter().chain(names).collect()
}

/// All blocks of commands of all documents.
fn read(root: &Path) -> Result<Vec<Block>> {
    let of_document = |document: String| {
        let text = fs::read_to_string(root.join(&document));
        let text = text.with_context(|| format!("read {document}"))?;
        block::of(&document, &text)
    };
    let blocks = documents(root).into_iter().map(of_document).collect::<Result<Vec<_>>>()?;
    Ok(blocks.into_iter().flatten().collect())
}

fn hold(project: &Project, block: &Block, interrupt: &Interrupt) -> Result<()> {
    let place = &block.place;
    let held = block.held;
    match held {
        Held::InCi => return stands_in_ci(project.root(), block),
        Held::Needs(need) if !need.is_there() => {
            println!("skipped: {place} ({})", need.why_not());
            return Ok(());
        }
        Held::Runs | Held::Fails | Held::Needs(_) | Held::InJob => {}
    }
    println!("== {block}");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &block.script]).current_dir(project.root());
    http::spare_loopback(&mut shell);
    let status = programs::status(&mut shell, interrupt)?;
    let wanted = held != Held::Fails;
    ensure!(status.success() == wanted, "{place}: the commands end with {status}");
    Ok(())
}

fn stands_in_ci(root: &Path, block: &Block) -> Result<()> {
    let ci = fs::read_to_string(root.join(".ci/run")).context("read .ci/run")?;
    for command in block.commands() {
        if !ci.lines().any(|line| line.trim() == command) {
            bail!("{}: `{command}` is no line of .ci/run", block.place);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn every_block_of_commands_says_how_it_is_held() {
        let blocks = read(&root()).unwrap();
        assert!(blocks.iter().any(|block| block.held == Held::Runs));
    }

    #[test]
    fn what_is_said_to_be_run_by_ci_is_run_there() {
        for block in read(&root()).unwrap().iter().filter(|block| block.held == Held::InCi) {
            stands_in_ci(&root(), block).unwrap();
        }
        let absent = block::of("x.md", "```console in=.ci/run\n$ cargo dev tset\n```\n").unwrap();
        let fault = stands_in_ci(&root(), &absent[0]).unwrap_err().to_string();
        assert_eq!(fault, "x.md:1: `cargo dev tset` is no line of .ci/run");
    }

    #[test]
    fn what_is_left_to_a_job_is_a_step_of_it() {
        assert!(read(&root()).unwrap().iter().any(|block| block.held == Held::InJob));
        let ci = fs::read_to_string(root().join(".github/workflows/ci.yml")).unwrap();
        let ci: serde_json::Value = serde_saphyr::from_str(&ci).unwrap();
        let steps = ci["jobs"][block::JOB]["steps"].as_array().unwrap();
        let command = format!("cargo dev documents --job {}", block::JOB);
        assert!(steps.iter().any(|step| step["run"] == *command), "{steps:?}");
    }

    #[test]
    fn what_the_documents_say_of_cargo_dev_are_commands_that_it_has() {
        let known = crate::cli::commands();
        for document in documents(&root()) {
            let text = fs::read_to_string(root().join(&document)).unwrap();
            for command in block::inline(&text) {
                let mut words = command.split_whitespace();
                if words.next() == Some("cargo") && words.next() == Some("dev") {
                    let Some(name) = words.next() else { continue };
                    assert!(known.iter().any(|known| known == name), "{document}: `{command}`");
                }
            }
        }
    }
}
