//! `cargo dev up --watch`: what is saved is built, and what has changed by that is replaced.

use std::time::Instant;

use anyhow::Result;

use super::{Request, attached::LOCK_LIMIT, bring_up, sources::Sources};
use crate::{
    http::Client, install::Permission, interrupt::Interrupt, project::Project, services,
    state::State,
};

/// How many changed files are named.
const NAMED_MAX: usize = 3;

/// The files of which the running system was built.
pub(super) struct OnSave(Sources);

impl OnSave {
    /// From now on, whatever is saved counts as changed.
    pub(super) fn new(project: &Project) -> Self {
        Self(Sources::of(project.root()))
    }

    /// Builds and replaces when something was saved. What fails is shown; the system runs on as it is.
    ///
    /// What is saved meanwhile is seen by the next look, and is one more build, however many files
    /// it is: the files are noted before a build reads them.
    pub(super) fn look(&mut self, project: &Project, client: &Client, interrupt: &Interrupt) {
        let Some(saved) = self.0.settled(project.root(), || interrupt.is_set()) else {
            return;
        };
        let changed = self.0.changed(&saved);
        let names: Vec<String> =
            changed.iter().take(NAMED_MAX).map(|path| path.display().to_string()).collect();
        let more = changed.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        println!("\nsaved: {}{more}", names.join(", "));
        self.0 = saved;
        if let Err(error) = rebuild(project, client, interrupt)
            && !interrupt.is_set()
        {
            eprintln!("{error:#}\nthe system runs on as it was; the next save is tried again");
        }
        // Cargo itself brings it up to date.
        self.0.refresh(project.root(), "Cargo.lock");
    }
}

fn rebuild(project: &Project, client: &Client, interrupt: &Interrupt) -> Result<()> {
    let begin = Instant::now();
    // Services may have come or gone.
    let project = project.read_again()?;
    services::build(&project, interrupt)?;
    let built = begin.elapsed().as_secs_f64();
    let _lock = project.lock_within(LOCK_LIMIT)?;
    let Some(before) = State::load(&project)? else {
        return Ok(());
    };
    let up = bring_up(
        &project,
        &Request::of_watch(),
        Permission::REFUSED,
        Some(before),
        client,
        interrupt,
        || Ok(()),
    )?;
    let all = begin.elapsed().as_secs_f64();
    if up.has_changed {
        println!("built in {built:.1} s, all done after {all:.1} s");
    } else {
        println!("built in {built:.1} s; no binary and no settings have changed");
    }
    Ok(())
}
