//! Other programs run to their end, with our output, and with us when we are told to stop.

use std::{
    env,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt::Interrupt;

/// What cargo is told to do when it only compiles.
const BUILDS: [&str; 3] = ["build", "check", "clippy"];
/// What sqlx says of a query whose description is not in `.sqlx/`.
const NO_QUERY: &[u8] = b"there is no cached data for this query";
/// The way here, which is another than sqlx's words say.
const UNCACHED: &str = "a query is new or has changed: `cargo dev prepare` asks PostgreSQL about it and refreshes .sqlx/";
/// Bytes of a line that are looked at.
const LINE_MAX: usize = 1024;
const POLL: Duration = Duration::from_millis(30);

/// Runs a command to its end. A signal to us alone is passed on; the terminal's Ctrl-C reaches the
/// command by itself.
pub(crate) fn status(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus> {
    let name = describe(command);
    let mut child = command.spawn().with_context(|| format!("start `{name}`"))?;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("wait for `{name}`"))? {
            interrupt.check()?;
            return Ok(status);
        }
        if interrupt.is_set() && !told {
            told = true;
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _gone_already = kill_process(pid, Signal::TERM);
            }
        }
        thread::sleep(POLL);
    }
}

/// Runs a command that has to succeed.
pub(crate) fn succeed(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    let (status, hint) = if is_build(command) {
        build(command, interrupt)?
    } else {
        (status(command, interrupt)?, None)
    };
    if !status.success() {
        let hint = hint.map_or_else(String::new, |hint| format!("\n{hint}"));
        bail!("`{}` failed ({status}){hint}", describe(command));
    }
    Ok(())
}

/// Whether cargo compiles and does nothing else.
fn is_build(command: &Command) -> bool {
    let verb = command.get_args().find(|word| !word.as_encoded_bytes().starts_with(b"+"));
    let is_cargo = Path::new(command.get_program()).file_stem().is_some_and(|name| name == "cargo");
    is_cargo && verb.is_some_and(|verb| BUILDS.iter().any(|build| verb == *build))
}

/// Runs a build; what the compiler says is shown as it comes. After one that failed, gives what helps
/// where the compiler's words lead elsewhere.
fn build(
    command: &mut Command,
    interrupt: &Interrupt,
) -> Result<(ExitStatus, Option<&'static str>)> {
    if io::stderr().is_terminal() {
        // As without the pipe between.
        for (name, value) in [
            ("CARGO_TERM_COLOR", "always"),
            ("CARGO_TERM_PROGRESS_WHEN", "always"),
            ("CARGO_TERM_PROGRESS_WIDTH", "80"),
        ] {
            command.env(name, env::var_os(name).unwrap_or_else(|| value.into()));
        }
    }
    let (mut reader, writer) = io::pipe().context("make a pipe")?;
    command.stderr(writer);
    let shown = thread::spawn(move || show(&mut reader));
    let status = status(command, interrupt);
    // Our end of the pipe, without which the reader would wait for ever.
    command.stderr(Stdio::inherit());
    let is_uncached = shown.join().unwrap_or_default();
    Ok((status?, is_uncached.then_some(UNCACHED)))
}

/// Shows what comes until the end, and tells whether a query was without its description.
fn show(reader: &mut impl Read) -> bool {
    let (mut bytes, mut line, mut found) = ([0; 4096], Vec::new(), false);
    while let Ok(count @ 1..) = reader.read(&mut bytes) {
        let _nobody_reads_it = io::stderr().write_all(&bytes[..count]);
        for byte in &bytes[..count] {
            if *byte == b'\n' {
                line.clear();
            } else if line.len() < LINE_MAX {
                line.push(*byte);
                found = found || line.ends_with(NO_QUERY);
            }
        }
    }
    found
}

/// Runs a command that has to succeed and gives what it printed; its errors are shown.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("start `{name}`"))?;
    if !output.status.success() {
        // What is wrong may stand in what it printed, as with tests.
        let printed = String::from_utf8_lossy(&output.stdout);
        bail!("{}", format!("`{name}` failed ({})\n{printed}", output.status).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("read what `{name}` printed"))
}

/// The command line, without the folders of its program.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_query_without_description_are_found_across_reads_and_nothing_else_is() {
        struct ByByte<'a>(&'a [u8]);
        impl Read for ByByte<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
                (bytes[0], self.0) = (*first, rest);
                Ok(1)
            }
        }
        for (said, expected) in [
            ("error: `SQLX_OFFLINE=true` but there is no cached data for this query, run", true),
            ("error: there is no cached\ndata for this query", false),
            ("", false),
        ] {
            assert_eq!(show(&mut ByByte(said.as_bytes())), expected, "{said}");
        }
    }

    #[test]
    fn what_a_command_that_fails_has_printed_is_told() {
        let fault = output(Command::new("sh").args(["-c", "echo why; exit 1"])).unwrap_err();
        let expected = "`sh -c echo why; exit 1` failed (exit status: 1)\nwhy";
        assert_eq!(fault.to_string(), expected);
        let fault = output(Command::new("sh").args(["-c", "exit 1"])).unwrap_err().to_string();
        assert!(fault.ends_with("(exit status: 1)"), "{fault}");
    }

    #[test]
    fn only_cargo_that_compiles_is_a_build() {
        for (words, expected) in [
            (["cargo", "build"], true),
            (["cargo", "clippy"], true),
            (["cargo", "run"], false),
            (["psql", "build"], false),
        ] {
            let mut command = Command::new(words[0]);
            assert_eq!(is_build(command.arg(words[1])), expected, "{words:?}");
        }
    }
}
