//! `cargo dev new-handler SERVICE EVENT`.

use std::{fs, path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{
    addition::{Addition, Options},
    files::{existing, formatted},
    names::{Names, is_reserved},
    parts::{Language, Piece},
    plan::Plan,
    source::{edit, import},
    words::{Words, snake},
};
use crate::{interrupt::Interrupt, prepare, project::Project};

/// The folder of the template.
const FOLDER: &str = "handler";
/// Who reads which event.
const SUBSCRIPTIONS: &str = "config/message_queue.tsk";
const CONTRACTS: &str = "crates/contracts/src";
/// In the contract of an event that nobody reads.
const UNREAD: &str = "    // Until a service acts on it; then the outbox is to keep it for that one.\n    \
    const MANDATORY: bool = false;\n";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds the queue to the event's readers in message_queue.tsk, the handler with its place in the inbox, and a
test that delivers the event twice. From then on the publisher keeps the event until the queue is there
(MANDATORY). Whatever fails, nothing is left of it.")]
pub(crate) struct Args {
    /// Who is to handle the event: notification-service
    service: String,
    /// Of another service, as its contract calls it: payment.refunded
    event: String,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let begin = Instant::now();
    let root = project.root();
    let names = Names::of_service(project, &args.service)?;
    let service = names.service.as_str();
    let contract = Contract::find(root, &args.event)?;
    ensure!(
        contract.module != snake(&names.aggregate),
        "{} is what {service} itself says: another service handles it",
        contract.full
    );
    let consumer = format!("services/{service}/src/consumer.rs");
    let queue = queue_of(root, &consumer)?;
    let settings = existing(root, &Plan::default(), SUBSCRIPTIONS)?;
    if Language::Tsk.has_at(&settings, &["subscriptions", &contract.full, &queue])? {
        println!("{service} handles {} already", contract.full);
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!is_reserved(&contract.function()), "`{}` cannot name a handler", contract.function());
    let words = Words::of_service(&names).with_heard(
        &contract.full,
        &contract.function(),
        &contract.name,
        contract.version,
    );
    let addition = Addition::new(project, &[FOLDER], &words, &[])?;
    let addition = addition.with(|root, plan| {
        subscribe(root, plan, &contract.full, &queue)?;
        contract.require(root, plan)?;
        for path in [consumer.clone(), format!("services/{service}/src/store.rs")] {
            contract.import(root, plan, &path)?;
        }
        let on = format!(".on(Self::{})", contract.function());
        edit(root, plan, &consumer, |source| source.add_step("handlers", &on))
    })?;
    let what = format!("{service} handling {}", contract.full);
    if !addition.make(&what, &names, &args.options, &[], interrupt)? {
        return Ok(ExitCode::SUCCESS);
    }
    let function = contract.function();
    println!("{what} is there after {:.0} s; next:", begin.elapsed().as_secs_f64());
    println!("  services/{service}/src/store.rs: `{function}`, what follows from the event");
    println!("  services/{service}/tests/it/{function}.rs: that it does, once");
    println!("  services/{service}/src/lib.rs: the line that says so");
    println!("  cargo dev prepare && cargo dev test -- -p {service}");
    Ok(ExitCode::SUCCESS)
}

/// An event as `contracts` has it.
#[derive(Debug)]
struct Contract {
    /// `payment.refunded`.
    full: String,
    /// `PaymentRefunded`.
    name: String,
    /// `payment`.
    module: String,
    version: u16,
}

impl Contract {
    /// Names those that there are when it is none of them.
    fn find(root: &Path, event: &str) -> Result<Self> {
        let mut all = Self::all(root)?;
        let found = all.iter().position(|contract| contract.full == event);
        if let Some(found) = found {
            return Ok(all.swap_remove(found));
        }
        let known: Vec<&str> = all.iter().map(|contract| contract.full.as_str()).collect();
        bail!("no contract is called `{event}`; there are: {}", known.join(", "))
    }

    fn all(root: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for file in prepare::names(&root.join(CONTRACTS)) {
            let Some(module) = file.strip_suffix(".rs") else { continue };
            let text = fs::read_to_string(root.join(CONTRACTS).join(&file))
                .with_context(|| format!("read {file}"))?;
            for (name, body) in bodies(&text) {
                let Some(full) = between(body, "const TYPE: &'static str = \"", "\"") else {
                    continue;
                };
                let version = between(body, "const VERSION: u16 = ", ";");
                all.push(Self {
                    full: full.to_owned(),
                    name: name.to_owned(),
                    module: module.to_owned(),
                    version: version.map_or(Ok(1), str::parse).context("read the version")?,
                });
            }
        }
        all.sort_by(|one, other| one.full.cmp(&other.full));
        Ok(all)
    }

    /// `payment_refunded`.
    fn function(&self) -> String {
        self.full.replace('.', "_")
    }

    /// Has the outbox keep the event until a queue is there, since one is to be.
    fn require(&self, root: &Path, plan: &mut Plan) -> Result<()> {
        let path = format!("{CONTRACTS}/{}.rs", self.module);
        let text = existing(root, plan, &path)?;
        let head = format!("impl Event for {} {{", self.name);
        let (before, after) = text.split_once(&head).with_context(|| format!("no `{head}`"))?;
        let end = after.find("\n}").unwrap_or(after.len());
        let mut kept: Vec<&str> = Vec::new();
        for line in after[..end].lines() {
            if line.trim() == "const MANDATORY: bool = false;" {
                while kept.last().is_some_and(|line| line.trim_start().starts_with("//")) {
                    kept.pop();
                }
            } else {
                kept.push(line);
            }
        }
        let text = format!("{before}{head}{}{}", kept.join("\n"), &after[end..]);
        plan.set(root, &path, Some(text))
    }

    /// Has the outbox send the event without a queue for it, since nobody reads it any more.
    fn release(&self, root: &Path, plan: &mut Plan) -> Result<()> {
        let path = format!("{CONTRACTS}/{}.rs", self.module);
        let text = existing(root, plan, &path)?;
        let line = format!("    const TYPE: &'static str = {:?};\n", self.full);
        let released = format!("{line}{UNREAD}");
        ensure!(text.contains(&line), "{path} has no `{}`", line.trim());
        plan.set(root, &path, Some(text.replace(&line, &released)))
    }

    fn import(&self, root: &Path, plan: &mut Plan, path: &str) -> Result<()> {
        let within = format!("use contracts::{}", self.module);
        let text = existing(root, plan, path)?;
        let text = if Language::Rust.has_at(&text, &[&within])? {
            Language::Rust.add(&text, &Piece::new(&[&within], &self.name, &self.name))?
        } else {
            import(&text, &format!("{within}::{};", self.name))
        };
        plan.set(root, path, Some(formatted(root, &text)?))
    }
}

/// The implementations of `Event` in a file: for what, and what is in them.
fn bodies(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split("\nimpl Event for ").skip(1);
    parts.filter_map(|part| part.split_once(" {"))
}

/// What stands between `begin` and `end` before the first item ends.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let item = text.split_once("\n}").map_or(text, |(item, _)| item);
    let (_, rest) = item.split_once(begin)?;
    rest.split_once(end).map(|(found, _)| found)
}

/// The key of the service's queue.
fn queue_of(root: &Path, consumer: &str) -> Result<String> {
    let text = existing(root, &Plan::default(), consumer)?;
    let found =
        text.split_once("const QUEUE: &str = \"").and_then(|(_, rest)| rest.split_once('"'));
    let (queue, _) = found.with_context(|| format!("{consumer} has no `QUEUE`"))?;
    Ok(queue.to_owned())
}

/// Names the queue among the event's readers.
fn subscribe(root: &Path, plan: &mut Plan, event: &str, queue: &str) -> Result<()> {
    let text = existing(root, plan, SUBSCRIPTIONS)?;
    let piece = if Language::Tsk.has_at(&text, &["subscriptions", event])? {
        Piece::new(&["subscriptions", event], queue, queue)
    } else {
        Piece::new(&["subscriptions"], event, &format!("\"{event}\": [{queue}]\n"))
    };
    let text = Language::Tsk.add(&text, &piece).context(SUBSCRIPTIONS)?;
    plan.set(root, SUBSCRIPTIONS, Some(text))
}

/// Takes a queue from among the readers of all events.
pub(super) fn unsubscribe(root: &Path, plan: &mut Plan, queue: &str) -> Result<()> {
    let mut text = existing(root, plan, SUBSCRIPTIONS)?;
    for event in Language::Tsk.names_at(&text, &["subscriptions"])? {
        let readers = Language::Tsk.names_at(&text, &["subscriptions", &event])?;
        if !readers.iter().any(|reader| reader == queue) {
            continue;
        }
        let piece = if readers.len() > 1 {
            Piece::new(&["subscriptions", &event], queue, queue)
        } else {
            Contract::find(root, &event)?.release(root, plan)?;
            Piece::new(&["subscriptions"], &event, "")
        };
        text = Language::Tsk.take(&text, &piece).context(SUBSCRIPTIONS)?;
    }
    plan.set(root, SUBSCRIPTIONS, Some(text))
}
