//! `cargo dev smoke`: the whole story on the running system, over HTTP, as a client sees it.
//!
//! A user registers, is welcomed by mail, pays, gets a receipt, is declined, is told so, and moves
//! to another address. Every request carries one sampled `traceparent`, so that the story is one
//! trace. Each wait has a limit, and says what was missing when it is over.

mod story;

use std::process::ExitCode;

use anyhow::{Context, Result};

use self::story::Story;
use crate::{
    interrupt::Interrupt, project::Project, services::SERVICES, state::State, up::state_file,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints one JSON object at the end instead of a line for each step
    #[arg(long)]
    json: bool,
    /// Where user-service answers [default: as `up` started it]
    #[arg(long, value_name = "URL")]
    user_service: Option<String>,
    /// Where payment-service answers
    #[arg(long, value_name = "URL")]
    payment_service: Option<String>,
    /// Where notification-service answers
    #[arg(long, value_name = "URL")]
    notification_service: Option<String>,
}

/// Where the services answer.
#[derive(Debug)]
struct Urls {
    user: String,
    payment: String,
    notification: String,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let urls = urls(project, args)?;
    let mut story = Story::new(urls, args.json, interrupt.clone())?;
    let outcome = story.tell();
    story.conclude(outcome)
}

/// The story, where each service listens on its usual port.
pub(crate) fn at_usual_ports(interrupt: &Interrupt) -> Result<()> {
    let url = |index: usize| format!("http://127.0.0.1:{}", SERVICES[index].port);
    let urls = Urls { user: url(0), payment: url(1), notification: url(2) };
    let mut story = Story::new(urls, false, interrupt.clone())?;
    let outcome = story.tell();
    story.conclude(outcome).map(drop)
}

fn urls(project: &Project, args: &Args) -> Result<Urls> {
    let state = State::load(&state_file(project))?;
    let url = |given: &Option<String>, index: usize| {
        let name = SERVICES[index].name;
        let running = || state.as_ref()?.running(name)?.url();
        given
            .as_ref()
            .map(|url| url.trim_end_matches('/').to_owned())
            .or_else(running)
            .with_context(|| format!("{name} does not run; start it with: cargo dev up --detach"))
    };
    Ok(Urls {
        user: url(&args.user_service, 0)?,
        payment: url(&args.payment_service, 1)?,
        notification: url(&args.notification_service, 2)?,
    })
}
