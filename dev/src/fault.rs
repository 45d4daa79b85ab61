//! `cargo dev fault`: what goes wrong on purpose, started and ended.
//!
//! ```text
//! book        what goes wrong now, in .dev/faults.json, which the proxy and the simulator obey
//! target      what a name means: a process of ours, a wire, both
//! inflict     freeze, kill, slow, cut, and the payment provider's faults
//! keeper      the process that lets a frozen one run on at its time
//! poison      a message that no version of a service can read
//! plan        the faults of a schedule, by its seed
//! schedule    a plan carried out
//! ```
//!
//! A fault with `--for` ends at its time whoever is still there: the file says when. What nobody ended,
//! `up`, `down` and `stop --all` end.

mod book;
mod inflict;
mod keeper;
mod length;
mod plan;
mod poison;
mod schedule;
mod target;

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};

use faults::{DECLINE_CODES, FaultKind, PROVIDER};

use crate::{interrupt::Interrupt, project::Project, table};

pub(crate) use self::book::{active, file, is_frozen, mend_all, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  cargo dev fault slow postgres --by 300ms --for 1m     every byte to and from it takes 300 ms longer
  cargo dev fault freeze redis                          it stands still; `fault stop redis` lets it run on
  cargo dev fault provider decline                      every card is declined
  cargo dev fault poison payment-service                a message that it gives up on; see `cargo dev queues list`
  cargo dev fault schedule --seed 7 --for 2m            faults by a plan that the seed gives

NAME is a server (postgres, redis, rabbitmq), a service, or payment-simulator. `slow` and `cut` are what services meet
on their way to it: you, and this tool, reach it as before. `freeze` stops its process (SIGSTOP); of a server whose
address is given, the way to it. One target has one fault: a second one takes the place of the first. `up` and `down`
end all of them.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists what goes wrong now
    List {
        /// Prints one JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Lets it stand still: it takes connections, and answers nothing
    Freeze {
        name: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Ends its process at once (SIGKILL)
    Kill { name: String },
    /// Lets every byte between the services and it take longer, each way
    Slow {
        name: String,
        /// So much longer: 300ms, 2s; at most 1m
        #[arg(long, value_name = "DURATION", value_parser = length::delay)]
        by: Duration,
        #[command(flatten)]
        limit: Limit,
    },
    /// Closes the connections between the services and it, and refuses new ones
    Cut {
        name: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Has the payment provider answer late, decline, or fail; `stop provider` ends it
    Provider {
        #[command(subcommand)]
        fault: Provider,
    },
    /// Sends a service one message that no version of it can read
    Poison {
        service: String,
        /// As an event of this type, which the service reads [default: the first that it reads]
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
    },
    /// Lets one random fault after the other happen, and waits until every service is well again
    Schedule(schedule::Args),
    /// Ends a fault, or all of them
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Stop {
        /// Its target; `provider` for the payment provider's
        #[arg(group = "which")]
        name: Option<String>,
        /// Every fault
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Lets a process that stands still run on at its time
    #[command(hide = true)]
    Keep { name: String, since_ms: u64 },
}

#[derive(Debug, clap::Subcommand)]
enum Provider {
    /// Answers take longer
    Slow {
        /// So much longer: 300ms, 2s; at most 1m
        #[arg(long, value_name = "DURATION", value_parser = length::delay)]
        by: Duration,
        #[command(flatten)]
        limit: Limit,
    },
    /// Every card is declined
    Decline {
        /// The issuer's reason, as the provider writes it
        #[arg(long, default_value = "generic_decline", value_parser = clap::builder::PossibleValuesParser::from(DECLINE_CODES))]
        code: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Every call is answered with an error, and nothing is done
    Fail {
        /// 500 to 599
        #[arg(long, default_value_t = 503, value_parser = clap::value_parser!(u16).range(500..=599))]
        status: u16,
        #[command(flatten)]
        limit: Limit,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Limit {
    /// Ends by itself after this: 30s, 5m; from 1s to 1h [default: when it is stopped]
    #[arg(long = "for", value_name = "DURATION", value_parser = length::limit)]
    length: Option<Duration>,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    match &args.action {
        Action::List { json } => list(project, *json)?,
        Action::Freeze { name, limit } => {
            inflict::begin(project, name, FaultKind::Freeze { process: None }, limit.length)?;
        }
        Action::Kill { name } => inflict::kill(project, name)?,
        Action::Slow { name, by, limit } => {
            inflict::begin(project, name, length::slow(*by), limit.length)?;
        }
        Action::Cut { name, limit } => {
            inflict::begin(project, name, FaultKind::Cut, limit.length)?;
        }
        Action::Provider { fault } => {
            let (kind, limit) = match fault {
                Provider::Slow { by, limit } => (length::slow(*by), limit),
                Provider::Decline { code, limit } => {
                    (FaultKind::Decline { code: code.clone() }, limit)
                }
                Provider::Fail { status, limit } => (FaultKind::Fail { status: *status }, limit),
            };
            inflict::begin(project, PROVIDER, kind, limit.length)?;
        }
        Action::Poison { service, event_type } => {
            poison::run(project, service, event_type.as_deref())?;
        }
        Action::Schedule(args) => return schedule::run(project, args, interrupt),
        Action::Stop { name: Some(name), .. } => stop(project, name)?,
        Action::Stop { .. } => {
            if mend_all(project)? == 0 {
                println!("nothing goes wrong on purpose");
            }
        }
        Action::Keep { name, since_ms } => keeper::run(project, name, *since_ms)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(project: &Project, as_json: bool) -> Result<()> {
    book::mend_overdue(project)?;
    let faults = active(project);
    if as_json {
        println!("{}", serde_json::to_string_pretty(&faults)?);
    } else if faults.is_empty() {
        println!("nothing goes wrong on purpose");
    } else {
        let row = |fault: &faults::Fault| {
            let until = fault.until_ms.map_or_else(|| "stopped".to_owned(), length::time);
            [fault.target.clone(), fault.kind.to_string(), length::time(fault.since_ms), until]
        };
        table::columns(["target", "fault", "since", "until"], faults.iter().map(row));
    }
    Ok(())
}

fn stop(project: &Project, name: &str) -> Result<()> {
    let Some(fault) = book::Book::open(project)?.stop(name)? else {
        bail!("`{name}` has no fault; `{}` lists them", project.command("fault list"));
    };
    book::tell_end(&fault);
    Ok(())
}
