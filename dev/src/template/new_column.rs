//! `cargo dev new-column SERVICE TABLE NAME TYPE`.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::{
    addition::{Addition, Options, prepare_and_test},
    column::{Column, Kind},
    names::Names,
    plan::Plan,
    source::Source,
    words::{Words, pascal, snake},
};
use crate::{interrupt::Interrupt, project::Project};

/// The folder of the template.
const FOLDER: &str = "column";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds the migration, the column to what the repository reads and saves, the field to the domain (and with
--shown to what routes answer), and a test. Rows that are there and the version before go on: a column is
nullable or has a constant default. Whatever fails, nothing is left of it.")]
pub(crate) struct Args {
    /// Whose table it is: orders
    service: String,
    /// The table of what the service keeps: orders
    table: String,
    /// What it is called, with underscores: `delivery_note`
    name: String,
    /// What it holds
    kind: Kind,
    /// What rows have that say nothing else
    #[arg(
        long,
        conflicts_with = "nullable",
        required_unless_present = "nullable",
        allow_hyphen_values = true
    )]
    default: Option<String>,
    /// Rows may have none
    #[arg(long)]
    nullable: bool,
    /// Routes answer it
    #[arg(long)]
    shown: bool,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let root = project.root();
    let names = Names::of_service(project, &args.service)?;
    let service = &names.service;
    let table = snake(&names.plural);
    let module = snake(&names.aggregate);
    ensure!(
        args.table == table,
        "{service} keeps what it decides about in `{table}`; a column of `{}` is added by hand: a file \
         in migrations/, then store.rs",
        args.table
    );
    let domain = format!("services/{service}/src/domain/{module}.rs");
    let what = format!("{table}.{} of {service}", args.name);
    let text = Plan::of(root).existing(&domain)?;
    if Source(text).fields(&pascal(&names.aggregate))?.contains(&args.name) {
        println!("{what} is already there");
        return Ok(ExitCode::SUCCESS);
    }
    let column = Column {
        name: args.name.clone(),
        kind: args.kind,
        default: args.default.clone(),
        meaning: format!("Its {}.", args.name.replace('_', " ")),
        is_shown: args.shown,
    };
    column.check(root, &names)?;
    let [first, other, shown] = column.examples()?;
    let forms = [
        ("column_feature", format!("column_{}", args.name)),
        ("feature", args.name.clone()),
        ("FEATURE_FIRST", first),
        ("FEATURE_OTHER", other),
        ("FEATURE_SHOWN", shown),
    ];
    let words = Words::of_service(&names).and(forms, true);
    let shown = if args.shown { vec!["shown".to_owned()] } else { vec![] };
    let addition = Addition::new(project, &[FOLDER], &words, &shown)?;
    let addition = addition.with(|plan| column.add(&names, plan))?;
    let next = [
        format!("{domain}: what `{}` says, who decides it, and its bounds", args.name),
        format!("services/{service}/src/store.rs: the `insert`, where a new one has its own"),
        prepare_and_test(service),
    ];
    addition.make(&what, &names, &args.options, &[], &next, interrupt)
}
