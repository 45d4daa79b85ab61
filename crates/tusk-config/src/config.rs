//! What was loaded, before it is typed.

use serde::de::DeserializeOwned;

use crate::evaluate::Context;
use crate::fault::{Errors, Fault, Severity};
use crate::imports::{Importer, Imports};
use crate::outside::Outside;
use crate::source::{Sources, Span};
use crate::suggest::nearest;
use crate::tree::{Entry, Table};
use crate::typed::{self, Start};
use crate::vars::Vars;

/// All files of a load as one tree. Values are evaluated when they are read.
#[derive(Debug)]
pub struct Config {
    pub(crate) root: Table,
    pub(crate) globals: Table,
    pub(crate) sources: Sources,
    pub(crate) vars: Vars,
    /// Errors and warnings from reading the files.
    pub(crate) faults: Vec<Fault>,
    pub(crate) imports: Imports,
    /// Files whose imports are not read yet.
    pub(crate) importers: Vec<Importer>,
    pub(crate) outside: Outside,
    /// What the last read of the whole left at the root.
    pub(crate) unread: Vec<Box<str>>,
}

impl Config {
    /// Nothing yet.
    pub(crate) fn new(vars: Vars) -> Self {
        let nowhere = Span { source: u32::MAX, start: 0, end: 0 };
        let root = Table::new(nowhere);
        let globals = Table::new(nowhere);
        Self {
            root,
            globals,
            sources: Sources::default(),
            vars,
            faults: Vec::new(),
            imports: Imports::default(),
            importers: Vec::new(),
            outside: Outside::default(),
            unread: Vec::new(),
        }
    }

    /// Reads the whole into a typed value; sections that the type does not name are ignored.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Errors> {
        self.result(typed::read(self.context(), Start::Whole)).map(|(value, _)| value)
    }

    /// As [`read`](Self::read), and keeps what was left.
    pub(crate) fn read_noting_unread<T: DeserializeOwned>(&mut self) -> Result<T, Errors> {
        let (value, unread) = self.result(typed::read(self.context(), Start::Whole))?;
        self.unread = unread;
        Ok(value)
    }

    /// Two values, each of a part of the whole; keeps what both left.
    pub(crate) fn read_both<A: DeserializeOwned, B: DeserializeOwned>(
        &mut self,
    ) -> Result<(A, B), Errors> {
        let first = self.result(typed::read(self.context(), Start::Whole));
        let second = self.result(typed::read(self.context(), Start::Whole));
        match (first, second) {
            (Ok((first, unread)), Ok((second, also))) => {
                self.unread = unread.into_iter().filter(|key| also.contains(key)).collect();
                Ok((first, second))
            }
            (Err(of_one), Err(of_other)) => {
                Err(Errors::new(of_one.iter().chain(&of_other).cloned().collect()))
            }
            (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
        }
    }

    /// Reads the section or key at a path, keys joined with dots, for example `server.port`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Errors> {
        let (entry, around) = self.find(path)?;
        let read = typed::read(self.context(), Start::Entry(entry, around));
        self.result(read).map(|(value, _)| value)
    }

    /// The entry at a path, with the tables around it.
    pub(crate) fn find(&self, path: &str) -> Result<(&Entry, Vec<&Table>), Errors> {
        let mut around = Vec::new();
        let Some(entry) = self.root.find(path, &mut around) else {
            let fault = Fault::error(None, format!("`{path}` is not in the configuration"));
            return Err(Errors::from(match nearest(path, self.root.keys()) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault,
            }));
        };
        Ok((entry, around))
    }

    /// The names of all sections and keys at the root, in the order of the files.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.root.keys()
    }

    /// Takes what is odd for an error: of two rules for the same thing, somebody means the other one.
    ///
    /// # Errors
    /// All [`warnings`](Self::warnings).
    pub fn strict(&self) -> Result<(), Errors> {
        let odd: Vec<Fault> = self.warnings().cloned().collect();
        if odd.is_empty() { Ok(()) } else { Err(Errors::new(odd)) }
    }

    /// What is odd but no error: keys given twice, keys without a value.
    pub fn warnings(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.severity() == Severity::Warning)
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            root: &self.root,
            globals: &self.globals,
            sources: &self.sources,
            vars: &self.vars,
            imports: &self.imports,
            outside: &self.outside,
            assume_set: false,
        }
    }

    pub(crate) fn errors(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.severity() == Severity::Error)
    }

    /// The faults of the files join those of the reading.
    fn result<T>(&self, read: Result<T, Vec<Fault>>) -> Result<T, Errors> {
        let mut faults: Vec<Fault> = self.errors().cloned().collect();
        match read {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => {}
            Err(more) => faults.extend(more),
        }
        if faults.is_empty() {
            // Every fault was hidden behind a value that could not be read; say at least that.
            faults.push(Fault::error(None, "the configuration could not be read"));
        }
        Err(Errors::new(faults))
    }
}
