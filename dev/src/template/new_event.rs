//! `cargo dev new-event SERVICE NAME`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::{
    addition::{Addition, Options},
    column::{Column, Kind},
    names::{Names, check_form, identifiers_of, is_reserved},
    words::{Words, pascal, snake},
};
use crate::{interrupt::Interrupt, project::Project};

/// The folder of the template.
const FOLDER: &str = "event";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds the contract with its golden message and its JSON Schema, the domain's event with a decision that
tells it once, the column that says when it happened, its way into the outbox, and a test of each.
Whatever fails, nothing is left of it.
`cargo dev new-route SERVICE METHOD PATH --event NAME` makes a request that tells it.")]
pub(crate) struct Args {
    /// Whose event it is: orders
    service: String,
    /// What has happened, in the past tense: cancelled
    name: String,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let names = Names::of_service(project, &args.service)?;
    let event = Event::new(&names, &args.name)?;
    if project.path(&event.golden()).exists() {
        println!("{} is already there", event.full);
        return Ok(ExitCode::SUCCESS);
    }
    event.check_free(project)?;
    let column = event.column();
    column.check(project.root(), &names).with_context(|| {
        format!("{} happens once, and `{}` would say when", event.full, column.name)
    })?;
    let words = Words::of_service(&names).with_event(&event.name, true);
    let owned = if names.is_owner() { vec![] } else { vec!["owned".to_owned()] };
    let addition = Addition::new(project, &[FOLDER], &words, &owned)?;
    let addition = addition.with(|plan| column.add(&names, plan))?;
    let service = &names.service;
    let plural = &names.plural;
    let module = &event.module;
    let full = &event.full;
    let next = [
        format!("services/{service}/src/domain/{module}.rs"),
        format!("    `{}`: when it may happen, and what changes beside", event.mark()),
        format!("    `{}`, which answers show; what of the status?", column.name),
        format!("crates/contracts/src/{module}.rs"),
        format!("    `{}`: what its readers need; also in {}", event.contract, event.golden()),
        format!("    until it is published: rm {}", event.schema()),
        "    cargo dev prepare makes that anew; from then on only optional fields come".to_owned(),
        format!("cargo dev new-route {service} POST '/{plural}/{{id}}/…' --event {}", event.name),
        format!("cargo dev new-handler SERVICE {full}, once another service acts on it"),
    ];
    addition.make(full, &names, &args.options, &[event.schema()], &next, interrupt)
}

/// An event by its names.
pub(super) struct Event {
    /// In kebab-case: `cancelled`.
    pub(super) name: String,
    /// `order.cancelled`.
    full: String,
    /// `OrderCancelled`.
    contract: String,
    /// The module of its contract.
    module: String,
}

impl Event {
    /// `cancelled`, or `order.cancelled`.
    pub(super) fn new(names: &Names, name: &str) -> Result<Self> {
        let module = snake(&names.aggregate);
        let name = name.strip_prefix(&format!("{module}.")).unwrap_or(name);
        check_form("the event", name)?;
        ensure!(!is_reserved(name), "`{name}` cannot name a value in Rust: choose another");
        Ok(Self {
            name: name.to_owned(),
            full: format!("{module}.{}", snake(name)),
            contract: pascal(&names.aggregate) + &pascal(name),
            module,
        })
    }

    /// The decision that tells it.
    pub(super) fn mark(&self) -> String {
        format!("mark_{}", snake(&self.name))
    }

    /// What says that it has happened, and when: the decision tells it once.
    fn column(&self) -> Column {
        Column {
            name: format!("{}_at", snake(&self.name)),
            kind: Kind::Timestamp,
            default: None,
            meaning: format!("When `{}` happened to it; none before.", self.full),
            is_shown: true,
        }
    }

    fn golden(&self) -> String {
        format!("crates/contracts/golden/{}.v1.json", self.full)
    }

    fn schema(&self) -> String {
        format!("crates/contracts/schemas/{}.v1.json", self.full)
    }

    /// Fails when its contract's name is that of something else.
    fn check_free(&self, project: &Project) -> Result<()> {
        let path = format!("crates/contracts/src/{}.rs", self.module);
        let text =
            std::fs::read_to_string(project.path(&path)).with_context(|| format!("read {path}"))?;
        let contract = self.contract.to_lowercase();
        let mut used = identifiers_of(&text)?.into_iter();
        if let Some(other) = used.find(|other| other.to_lowercase() == contract) {
            bail!("{path} has something that is called `{other}`: choose another name");
        }
        Ok(())
    }
}
