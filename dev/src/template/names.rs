//! Names for a service and its thing, and why some cannot be.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use proc_macro2::{TokenStream, TokenTree};

use super::{
    record::Record,
    words::{pascal, snake},
};
use crate::{
    folder::{below, names},
    project::Project,
};

const SUFFIX: &str = "-service";
/// What a name in Kubernetes may have.
const LENGTH_MAX: usize = 63;
/// The longest ending of a name that is made of the service's.
const ENDING: &str = "-database-secret";
/// Names of Rust's library, and words that a later edition may take, besides its keywords.
const LIBRARY: [&str; 6] = ["alloc", "core", "gen", "proc_macro", "std", "test"];
/// Words that SQL takes: no table is called so.
const SQL: &str = "all analyse analyze and any array as asc asymmetric authorization binary both case \
    cast check collate collation column concurrently constraint create cross default deferrable desc \
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in \
    initially inner intersect into is isnull join lateral leading left like limit localtime natural \
    not notnull null offset on only or order outer overlaps placing primary references returning \
    right select similar some symmetric table tablesample then to trailing true union unique user \
    using variadic verbose when where window with";

/// A service, its thing, and several of them, in kebab-case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) service: String,
    pub(super) aggregate: String,
    pub(super) plural: String,
}

/// `orders-service`, of `orders` or of itself.
pub(super) fn service_of(name: &str) -> Result<String> {
    let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
    check_form("the service", stem)?;
    Ok(format!("{stem}{SUFFIX}"))
}

impl Names {
    /// `orders`, or `orders-service`: a service of orders, each an `order`.
    pub(super) fn new(name: &str, aggregate: Option<&str>) -> Result<Self> {
        let service = service_of(name)?;
        let stem = service.strip_suffix(SUFFIX).unwrap_or(&service);
        let aggregate = match aggregate {
            Some(aggregate) => {
                check_form("--aggregate", aggregate)?;
                aggregate.to_owned()
            }
            None => singular(stem),
        };
        let plural = if aggregate == stem { plural(stem) } else { stem.to_owned() };
        let longest = service.len() + ENDING.len();
        ensure!(
            longest <= LENGTH_MAX,
            "`{service}{ENDING}` has {longest} characters, and Kubernetes takes {LENGTH_MAX}: \
             choose a name that is shorter by {}",
            longest - LENGTH_MAX
        );
        for (word, is_taken, what) in [
            (&aggregate, is_reserved(&aggregate), "a value in Rust"),
            (&plural, is_reserved_in_sql(&plural), "a table in SQL"),
        ] {
            ensure!(!is_taken, "`{word}` cannot name {what}: choose another by --aggregate");
        }
        Ok(Self { service, aggregate, plural })
    }

    /// Of a service that is there; names those that are when it is none of them.
    pub(super) fn of_service(project: &Project, name: &str) -> Result<Self> {
        let service = service_of(name)?;
        project.service(&service)?;
        let record = Record::read(&project.path("services").join(&service));
        Self::new(&service, record.map(|record| record.aggregate).as_deref())
    }

    /// Whether each of its things is a user, who is his own.
    pub(super) fn is_owner(&self) -> bool {
        self.aggregate == "user"
    }

    /// Fails when something else in the workspace is called so.
    pub(super) fn check_free(&self, root: &Path) -> Result<()> {
        for folder in ["crates", "services"] {
            for taken in names(&root.join(folder)) {
                for word in [&self.aggregate, &self.plural, &self.service] {
                    ensure!(
                        *word != taken,
                        "`{word}` is the name of {folder}/{taken}: choose another by --aggregate"
                    );
                }
            }
        }
        let module = format!("crates/contracts/src/{}.rs", snake(&self.aggregate));
        ensure!(
            !root.join(&module).exists(),
            "{module} is there: another service publishes events of `{}`; choose another by --aggregate",
            self.aggregate
        );
        let used = identifiers(&root.join(super::FOLDER))?;
        for word in [&self.aggregate, &self.plural] {
            for identifier in [snake(word), pascal(word)] {
                ensure!(
                    !used.contains(&identifier),
                    "the template itself has something that is called `{identifier}`: choose another by \
                     --aggregate"
                );
            }
        }
        Ok(())
    }
}

/// Fails for what is no name in kebab-case, with one that is.
pub(super) fn check_form(what: &str, name: &str) -> Result<()> {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    if begins && name.split('-').all(is_word) {
        return Ok(());
    }
    let mut words: Vec<String> = Vec::new();
    for (index, letter) in name.char_indices() {
        let follows = index > 0 && name[..index].ends_with(|c: char| c.is_ascii_lowercase());
        if !letter.is_ascii_alphanumeric() || words.is_empty() || letter.is_uppercase() && follows {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_ascii_alphanumeric()) {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    let meant = words.join("-");
    let meant = meant.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let hint = if meant.is_empty() { "orders" } else { meant };
    bail!(
        "`{name}` cannot name {what}: write words of a-z and 0-9 with single dashes between, beginning \
         with a letter, such as `{hint}`"
    )
}

/// One of several, as far as endings tell; `--aggregate` knows better.
fn singular(word: &str) -> String {
    let ending = |from: &str, to: &str| {
        let stem = word.strip_suffix(from).filter(|stem| stem.len() > 1)?;
        Some(format!("{stem}{to}"))
    };
    if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return word.to_owned();
    }
    ["ches", "shes", "sses", "xes", "zes"]
        .into_iter()
        .find_map(|end| ending(end, &end[..end.len() - 2]))
        .or_else(|| ending("ies", "y"))
        .or_else(|| ending("s", ""))
        .unwrap_or_else(|| word.to_owned())
}

fn plural(word: &str) -> String {
    let is_vowel = |letter: char| "aeiou".contains(letter);
    match word.strip_suffix('y') {
        Some(stem) if !stem.ends_with(is_vowel) => format!("{stem}ies"),
        _ if ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) => {
            format!("{word}es")
        }
        _ => format!("{word}s"),
    }
}

/// What the Rust of a folder calls things.
fn identifiers(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in below(folder)? {
        if file.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&file).context("read the template")?;
            found.extend(identifiers_of(&text)?);
        }
    }
    Ok(found)
}

/// What a Rust file calls things.
pub(super) fn identifiers_of(text: &str) -> Result<BTreeSet<String>> {
    let tokens: TokenStream = text.parse().ok().context("it is no Rust that can be read")?;
    let mut found = BTreeSet::new();
    collect(tokens, &mut found);
    Ok(found)
}

/// Whether Rust takes the word for itself.
pub(super) fn is_reserved(word: &str) -> bool {
    let word = snake(word);
    syn::parse_str::<syn::Ident>(&word).is_err() || LIBRARY.contains(&word.as_str())
}

/// Whether SQL takes the word for itself.
pub(super) fn is_reserved_in_sql(word: &str) -> bool {
    SQL.split_whitespace().any(|reserved| reserved == word)
}

fn collect(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(identifier) => drop(found.insert(identifier.to_string())),
            TokenTree::Group(group) => collect(group.stream(), found),
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_thing_is_one_of_what_the_service_is_called() {
        for (name, service, aggregate, plural) in [
            ("orders", "orders-service", "order", "orders"),
            ("orders-service", "orders-service", "order", "orders"),
            ("order-items", "order-items-service", "order-item", "order-items"),
            ("deliveries", "deliveries-service", "delivery", "deliveries"),
            ("taxes", "taxes-service", "tax", "taxes"),
            ("addresses", "addresses-service", "address", "addresses"),
            ("basket", "basket-service", "basket", "baskets"),
            ("status", "status-service", "status", "statuses"),
        ] {
            let expected = (service.to_owned(), aggregate.to_owned(), plural.to_owned());
            let names = Names::new(name, None).unwrap();
            let names = (names.service, names.aggregate, names.plural);
            assert_eq!(names, expected);
        }
        assert_eq!(Names::new("data", Some("datum")).unwrap().plural, "data");
    }

    #[test]
    fn a_name_that_cannot_be_says_why_and_what_would_do() {
        let long = "a".repeat(40);
        for (name, aggregate, expected) in [
            ("Orders", None, "such as `orders`"),
            ("orderItems", None, "such as `order-items`"),
            ("order_items", None, "such as `order-items`"),
            ("-orders", None, "such as `orders`"),
            ("1st", None, "such as `st`"),
            ("", None, "such as `orders`"),
            ("order--items", None, "such as `order-items`"),
            ("tests", None, "`test` cannot name a value in Rust"),
            ("boxes", None, "`box` cannot name a value in Rust"),
            ("orders", Some("Order"), "--aggregate: write"),
            ("orders", Some("match"), "choose another by --aggregate"),
            (&long, None, "shorter by 1"),
        ] {
            let error = Names::new(name, aggregate).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
