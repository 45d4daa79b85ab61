//! `cargo dev new-handler SERVICE EVENT`.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};

use super::{
    addition::{Addition, Options, prepare_and_test},
    names::{Names, is_reserved},
    parts::{Language, Piece},
    plan::Plan,
    source::{Constants, Source, edit},
    words::{Words, snake},
};
use crate::{folder, interrupt::Interrupt, project::Project};

/// The folder of the template.
const FOLDER: &str = "handler";
/// Who reads which event.
const SUBSCRIPTIONS: &str = "config/message_queue.tsk";
const CONTRACTS: &str = "crates/contracts/src";
/// In the contract of an event that nobody reads.
const UNREAD: &str = "\n    // Until a service acts on it; then the outbox is to keep it for that one.\n    \
    const MANDATORY: bool = false;";

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
    let settings = Plan::of(root).existing(SUBSCRIPTIONS)?;
    if Language::Tsk.has_at(&settings, &["subscriptions", &contract.full, &queue])? {
        println!("{service} handles {} already", contract.full);
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!is_reserved(&contract.function()), "`{}` cannot name a handler", contract.function());
    let forms = [
        ("other.heard.v1", format!("{}.v{}", contract.full, contract.version)),
        ("other.heard", contract.full.clone()),
        ("other_heard", contract.function()),
        ("OtherHeard", contract.name.clone()),
    ];
    let words = Words::of_service(&names).and(forms, true);
    let addition = Addition::new(project, &[FOLDER], &words, &[])?;
    let addition = addition.with(|plan| {
        subscribe(plan, &contract.full, &queue)?;
        contract.require(plan)?;
        for path in [consumer.clone(), format!("services/{service}/src/store.rs")] {
            contract.import(plan, &path)?;
        }
        let on = format!(".on(Self::{})", contract.function());
        edit(plan, &consumer, |source| source.add_step("handlers", &on))
    })?;
    let what = format!("{service} handling {}", contract.full);
    let function = contract.function();
    let next = [
        format!("services/{service}/src/store.rs: `{function}`, what follows from the event"),
        format!("services/{service}/tests/it/{function}.rs: that it does, once"),
        format!("services/{service}/src/lib.rs: the line that says so"),
        prepare_and_test(service),
    ];
    addition.make(&what, &names, &args.options, &[], &next, interrupt)
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
        for file in folder::names(&root.join(CONTRACTS)) {
            let Some(module) = file.strip_suffix(".rs") else { continue };
            let source = Source(Plan::of(root).existing(&format!("{CONTRACTS}/{file}"))?);
            for (name, constants) in
                source.implementations("Event").with_context(|| file.clone())?
            {
                let value =
                    |key| constants.iter().find(|(known, ..)| known == key).map(|one| &one.1);
                let Some(full) = value("TYPE").cloned() else { continue };
                let version = value("VERSION").map_or(Ok(1), |number| number.parse());
                let version = version.context("read the version")?;
                all.push(Self { full, name, module: module.to_owned(), version });
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
    fn require(&self, plan: &mut Plan) -> Result<()> {
        self.edit(plan, |source, constants| {
            for (name, _, place) in constants {
                if name == "MANDATORY" {
                    source.take_lines(&place);
                }
            }
        })
    }

    /// Has the outbox send the event without a queue for it, since nobody reads it any more.
    fn release(&self, plan: &mut Plan) -> Result<()> {
        self.edit(plan, |source, constants| {
            let kind = constants.iter().find(|(name, ..)| name == "TYPE");
            let at = kind.map_or(0, |(.., place)| place.end);
            source.0.insert_str(at, UNREAD);
        })
    }

    /// Changes what implements the event, whose constants are given.
    fn edit(&self, plan: &mut Plan, change: impl FnOnce(&mut Source, Constants)) -> Result<()> {
        edit(plan, &format!("{CONTRACTS}/{}.rs", self.module), |source| {
            let mut found = source.implementations("Event")?.into_iter();
            let found = found.find(|(name, _)| *name == self.name);
            let (_, constants) =
                found.with_context(|| format!("no `impl Event for {}`", self.name))?;
            change(source, constants);
            Ok(())
        })
    }

    fn import(&self, plan: &mut Plan, path: &str) -> Result<()> {
        let within = format!("use contracts::{}", self.module);
        edit(plan, path, |source| {
            if !Language::Rust.has_at(&source.0, &[&within])? {
                return source.import(&format!("{within}::{};", self.name));
            }
            let piece = Piece::new(&[&within], &self.name, &self.name);
            source.0 = Language::Rust.add(&source.0, &piece)?;
            Ok(())
        })
    }
}

/// The key of the service's queue.
fn queue_of(root: &Path, consumer: &str) -> Result<String> {
    let source = Source(Plan::of(root).existing(consumer)?);
    source.constant("QUEUE")?.with_context(|| format!("{consumer} has no `QUEUE`"))
}

/// Names the queue among the event's readers.
fn subscribe(plan: &mut Plan, event: &str, queue: &str) -> Result<()> {
    let text = plan.existing(SUBSCRIPTIONS)?;
    let piece = if Language::Tsk.has_at(&text, &["subscriptions", event])? {
        Piece::new(&["subscriptions", event], queue, queue)
    } else {
        Piece::new(&["subscriptions"], event, &format!("\"{event}\": [{queue}]\n"))
    };
    let text = Language::Tsk.add(&text, &piece).context(SUBSCRIPTIONS)?;
    plan.set(SUBSCRIPTIONS, Some(text))
}

/// Takes a queue from among the readers of all events.
pub(super) fn unsubscribe(plan: &mut Plan, queue: &str) -> Result<()> {
    let mut text = plan.existing(SUBSCRIPTIONS)?;
    for event in Language::Tsk.names_at(&text, &["subscriptions"])? {
        let readers = Language::Tsk.names_at(&text, &["subscriptions", &event])?;
        if !readers.iter().any(|reader| reader == queue) {
            continue;
        }
        let piece = if readers.len() > 1 {
            Piece::new(&["subscriptions", &event], queue, queue)
        } else {
            Contract::find(plan.root(), &event)?.release(plan)?;
            Piece::new(&["subscriptions"], &event, "")
        };
        text = Language::Tsk.take(&text, &piece).context(SUBSCRIPTIONS)?;
    }
    plan.set(SUBSCRIPTIONS, Some(text))
}
