//! Servers that are not on the machine: installed from the distribution when the user agrees, or named
//! with the line that installs them.

mod apt;
mod hints;

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use testkit::native;

use self::hints::Distribution;
use crate::interrupt::Interrupt;

const POLL: Duration = Duration::from_millis(50);

/// Whether packages may be installed: the flags of every command that starts servers.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Permission {
    /// Installs packages of the distribution that are missing without asking, as CI=true does
    #[arg(long, short, conflicts_with = "no_install")]
    yes: bool,
    /// Fails instead of asking whether to install packages
    #[arg(long)]
    no_install: bool,
}

impl Permission {
    /// What `--yes` gives.
    pub(crate) const GIVEN: Self = Self { yes: true, no_install: false };
    /// What `--no-install` gives.
    pub(crate) const REFUSED: Self = Self { yes: false, no_install: true };
}

/// Whether this runs in continuous integration.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Sees to it that the servers of these packages are there. Nothing is installed unless the user has
/// agreed.
pub(crate) fn ensure(
    packages: &[&'static str],
    permission: Permission,
    interrupt: &Interrupt,
) -> Result<()> {
    let missing = missing_of(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let distribution = Distribution::here();
    let installer = apt::Installer::find(&distribution).filter(|_| !permission.no_install);
    let Some(installer) = installer else {
        bail!(
            "not on this machine: {}. {}\nor give addresses of running servers: \
             {{DEV,TEST}}_POSTGRES_URL, _REDIS_URL, _AMQP_URL (and TEST_RABBITMQ_API)",
            missing.join(", "),
            distribution.install_line(&missing)
        );
    };
    let line = installer.shown(&missing);
    println!("not on this machine: {}", missing.join(", "));
    println!("this installs them, and starts none of their services:\n  {line}");
    if !(permission.yes || is_ci()) {
        if !io::stdin().is_terminal() {
            bail!("nothing was installed, as nobody can be asked: add --yes, or run: {line}");
        }
        if !is_agreed("install them? [y/N] ", interrupt)? {
            bail!("nothing was installed; run by yourself: {line}");
        }
    }
    installer.install(&missing, interrupt)?;
    let still_missing = missing_of(packages);
    if !still_missing.is_empty() {
        bail!("installed, but still not found: {}", still_missing.join(", "));
    }
    Ok(())
}

fn missing_of(packages: &[&'static str]) -> Vec<&'static str> {
    native::find().missing().into_iter().filter(|package| packages.contains(package)).collect()
}

/// Asks on the terminal; anything but a yes is a no. Ctrl-C ends the waiting.
fn is_agreed(question: &str, interrupt: &Interrupt) -> Result<bool> {
    print!("{question}");
    io::stdout().flush()?;
    let (sender, answers) = mpsc::channel();
    // A signal does not break a read off; the thread ends with the process.
    thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        let _nobody_waits_any_more = sender.send(read.map(|_| answer));
    });
    loop {
        interrupt.check()?;
        if let Ok(answer) = answers.recv_timeout(POLL) {
            return Ok(matches!(answer?.trim(), "y" | "Y" | "yes"));
        }
    }
}
