//! Other programs run to their end, with our output, and with us when we are told to stop.

use std::{
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt::Interrupt;

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
    let status = status(command, interrupt)?;
    ensure!(status.success(), "`{}` failed ({status})", describe(command));
    Ok(())
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

/// What a command says on its output, without the blanks around it; none where it is not there or fails. Nothing is
/// shown.
pub(crate) fn says(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a command is there and succeeds.
pub(crate) fn works(command: &mut Command) -> bool {
    says(command).is_some()
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
    fn what_a_command_that_fails_has_printed_is_told() {
        let fault = output(Command::new("sh").args(["-c", "echo why; exit 1"])).unwrap_err();
        let expected = "`sh -c echo why; exit 1` failed (exit status: 1)\nwhy";
        assert_eq!(fault.to_string(), expected);
        let fault = output(Command::new("sh").args(["-c", "exit 1"])).unwrap_err().to_string();
        assert!(fault.ends_with("(exit status: 1)"), "{fault}");
    }
}
