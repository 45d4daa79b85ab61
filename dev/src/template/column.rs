//! A column of a service's own table, from the migration to the answer.
//!
//! ```text
//! migrations/000N_….sql ─▶ store: Row, what is read, what is saved ─▶ domain ─▶ view
//! ```
//!
//! The migration locks the table for no longer than its entry in the catalogue takes: the column is
//! nullable or has a constant default, so that no row is written, and the version before goes on
//! without it.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use super::{
    files::ends_in,
    names::Names,
    plan::Plan,
    source::{Source, check_column, edit},
    words::{pascal, snake},
};
use crate::folder;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Characters, with no bound of its own
    Text,
    /// 64 bits, with a sign
    Integer,
    /// True or false
    Bool,
    /// A moment, in UTC
    Timestamp,
    /// A UUID
    Uuid,
}

/// A column to add.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As it was given; none: the column is nullable.
    pub(super) default: Option<String>,
    /// What it says, as a sentence.
    pub(super) meaning: String,
    /// Whether answers have it.
    pub(super) is_shown: bool,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Bool => "boolean",
            Self::Timestamp => "timestamptz",
            Self::Uuid => "uuid",
        }
    }

    fn rust(self) -> &'static str {
        match self {
            Self::Text => "String",
            Self::Integer => "i64",
            Self::Bool => "bool",
            Self::Timestamp => "DateTime<Utc>",
            Self::Uuid => "Uuid",
        }
    }

    /// Of a default, how SQL writes it and how Rust does.
    fn constant(self, value: &str) -> Result<[String; 2]> {
        let wrong = |expected: &str| format!("`{value}` is no {expected}");
        Ok(match self {
            Self::Text => {
                ensure!(!value.chars().any(char::is_control), "a default is one line of text");
                [format!("'{}'", value.replace('\'', "''")), format!("{value:?}.to_owned()")]
            }
            Self::Integer => {
                let number: i64 = value.parse().with_context(|| wrong("integer"))?;
                [number.to_string(), number.to_string()]
            }
            Self::Bool => {
                let is: bool = value.parse().with_context(|| wrong("bool: true or false"))?;
                [is.to_string(), is.to_string()]
            }
            Self::Timestamp | Self::Uuid => {
                bail!(
                    "a {} has no constant that would mean something: leave it nullable",
                    self.sql()
                )
            }
        })
    }
}

impl Column {
    /// Fails for a name that cannot be one, or that the table or the aggregate has.
    pub(super) fn check(&self, root: &Path, names: &Names) -> Result<()> {
        check_column(&self.name)?;
        let path = domain_of(names);
        let text = Plan::of(root).existing(&path)?;
        let taken = Source(text).fields(&pascal(&names.aggregate)).with_context(|| path.clone())?;
        let folded = |name: &str| name.replace('_', "").to_lowercase();
        if let Some(other) = taken.iter().find(|other| folded(other) == folded(&self.name)) {
            bail!("{path} has a `{other}` already: `{}` would be too like it", self.name);
        }
        for (file, sql) in migrations(root, names)? {
            let mut lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
            let is_it = |word: &str| word == self.name;
            let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            ensure!(
                !lines.any(|line| line.split(word).any(is_it)),
                "{file} speaks of a `{}`: choose another name",
                self.name
            );
        }
        Ok(())
    }

    /// What a row has at first and what it may have later, as SQL writes it; that as JSON does.
    pub(super) fn examples(&self) -> Result<[String; 3]> {
        let first = match &self.default {
            None => "null".to_owned(),
            Some(value) => self.kind.constant(value)?[0].clone(),
        };
        let uuid = "0197c1f0-5c00-7000-8000-000000000009";
        let [sql, json] = match self.kind {
            Kind::Text => ["'other'".to_owned(), "\"other\"".to_owned()],
            Kind::Integer => ["41".to_owned(), "41".to_owned()],
            Kind::Bool => {
                let other = (first != "true").to_string();
                [other.clone(), other]
            }
            Kind::Timestamp => {
                let at = "2026-01-15T09:30:00Z";
                [format!("'{at}'"), format!("{at:?}")]
            }
            Kind::Uuid => [format!("'{uuid}'"), format!("{uuid:?}")],
        };
        Ok([first, sql, json])
    }

    /// Plans all of it.
    pub(super) fn add(&self, names: &Names, plan: &mut Plan) -> Result<()> {
        self.migrate(names, plan)?;
        self.keep(names, plan)?;
        if self.is_shown {
            self.show(names, plan)?;
        }
        Ok(())
    }

    fn migrate(&self, names: &Names, plan: &mut Plan) -> Result<()> {
        let number = migrations(plan.root(), names)?.len() + 1;
        let table = snake(&names.plural);
        let path = format!("{}/{number:04}_{table}_{}.sql", folder_of(names), self.name);
        let name = &self.name;
        let sql = self.kind.sql();
        let (rule, default) = match &self.default {
            None => (
                "Null in the rows that are there, and in those that the version before writes.",
                String::new(),
            ),
            Some(value) => {
                let [constant, _] = self.kind.constant(value)?;
                let rule = "The default is in the rows that are there, and in those that the version before writes.";
                (rule, format!(" not null default {constant}"))
            }
        };
        let text = format!(
            "-- {}\n-- {rule} No row is written, so that the\n-- table is locked for a moment only.\n\
             alter table {table} add column {name} {sql}{default};\n",
            self.meaning
        );
        plan.set(&path, Some(text))
    }

    /// In the repository and in the domain.
    fn keep(&self, names: &Names, plan: &mut Plan) -> Result<()> {
        let aggregate = pascal(&names.aggregate);
        let table = snake(&names.plural);
        let name = &self.name;
        let store = format!("services/{}/src/store.rs", names.service);
        let value = format!("{}.{name}", snake(&names.aggregate));
        edit(plan, &store, |source| {
            source.add_selected(&format!("select_{table}"), &table, name)?;
            source.add_saved(&table, name, &value)
        })?;

        let (rows, row) = rows_of(names, plan)?;
        edit(plan, &rows, |source| {
            let is_visible = if rows == store { "" } else { "pub(super) " };
            let rust = self.rust(&source.0);
            source.add_field(&row, &format!("{is_visible}{name}: {rust}"))?;
            let found =
                source.add_to_values(&aggregate, "updated_at", &format!("{name}: row.{name}"))?;
            ensure!(found == 1, "one place makes a {aggregate} of a row, not {found}");
            Ok(())
        })?;

        let domain = domain_of(names);
        let first = match &self.default {
            None => "None".to_owned(),
            Some(value) => self.kind.constant(value)?[1].clone(),
        };
        edit(plan, &domain, |source| {
            let rust = self.rust(&source.0);
            source.add_field(&aggregate, &format!("/// {}\npub {name}: {rust}", self.meaning))?;
            let found =
                source.add_to_values(&aggregate, "updated_at", &format!("{name}: {first}"))?;
            ensure!(found > 0, "no place makes a new {aggregate}");
            Ok(())
        })
    }

    /// In what the routes answer.
    fn show(&self, names: &Names, plan: &mut Plan) -> Result<()> {
        let aggregate = pascal(&names.aggregate);
        let path = format!("services/{}/src/routes/{}.rs", names.service, snake(&names.plural));
        let name = &self.name;
        edit(plan, &path, |source| {
            let view = source.made_of(&aggregate)?;
            let view = view.with_context(|| format!("no `impl From<{aggregate}> for …`"))?;
            let skip = "#[serde(skip_serializing_if = \"Option::is_none\")]\n";
            // A view that is read back, from a cache, may be that of the version before.
            let is_read = source.is_marked(&view, "Deserialize");
            let attribute = match (&self.default, is_read) {
                (None, _) => skip,
                (Some(_), true) => "#[serde(default)]\n",
                (Some(_), false) => "",
            };
            let rust = self.rust(&source.0);
            let field = format!("/// {}\n{attribute}{name}: {rust}", self.meaning);
            source.add_field(&view, &field)?;
            let value = format!("{name}: {}.{name}", snake(&names.aggregate));
            let known = source.fields(&view)?.into_iter().find(|known| known == "created_at");
            let known = known.with_context(|| format!("`{view}` has no `created_at`"))?;
            let found = source.add_to_values(&view, &known, &value)?;
            ensure!(found > 0, "no place makes a {view}");
            Ok(())
        })
    }

    /// Its type, as a file with these imports writes it.
    fn rust(&self, text: &str) -> String {
        let is_imported = text.lines().any(|line| line == "use uuid::Uuid;");
        let rust = match self.kind {
            Kind::Uuid if !is_imported => "uuid::Uuid",
            kind => kind.rust(),
        };
        if self.default.is_none() { format!("Option<{rust}>") } else { rust.to_owned() }
    }
}

/// The file with the rows, and what they are called.
fn rows_of(names: &Names, plan: &Plan) -> Result<(String, String)> {
    let aggregate = pascal(&names.aggregate);
    let folder = format!("services/{}/src", names.service);
    for path in [format!("{folder}/store.rs"), format!("{folder}/store/rows.rs")] {
        let Some(text) = plan.text(&path)? else { continue };
        let source = Source(text);
        let mut names = ["Row".to_owned(), format!("{aggregate}Row")].into_iter();
        if let Some(row) = names.find(|row| source.has_struct(row)) {
            return Ok((path, row));
        }
    }
    bail!("{folder}/store.rs has no `struct Row`: what a {aggregate} is read as")
}

fn domain_of(names: &Names) -> String {
    format!("services/{}/src/domain/{}.rs", names.service, snake(&names.aggregate))
}

fn folder_of(names: &Names) -> String {
    format!("services/{}/migrations", names.service)
}

/// The migrations that are there: their paths and texts.
fn migrations(root: &Path, names: &Names) -> Result<Vec<(String, String)>> {
    let folder = folder_of(names);
    let files = folder::names(&root.join(&folder)).into_iter();
    let files = files.filter(|name| ends_in(name, "sql") && !name.ends_with(".down.sql"));
    let read = |name: String| {
        let path = format!("{folder}/{name}");
        let text = fs::read_to_string(root.join(&path)).with_context(|| format!("read {path}"))?;
        Ok((path, text))
    };
    files.map(read).collect()
}
