//! Files that others take keys from: `@file.tsk.get("key")`.
//!
//! They are read with the files that name them, so that a load sees one state of the disk; what is
//! wrong with one matters when a value of it is read. Each is a world of its own: references in it
//! lead to its own keys and globals.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fault::Fault;
use crate::loader::read;
use crate::outside::below;
use crate::source::{Home, Source, Sources, Span};
use crate::syntax::{self, Document};
use crate::tree::Table;

/// How many files may be read for the keys in them.
const FILES_MAX: usize = 64;

/// One of these files.
#[derive(Debug)]
pub(crate) struct Imported {
    path: PathBuf,
    pub(crate) root: Table,
    pub(crate) globals: Table,
}

#[derive(Debug, Default)]
pub(crate) struct Imports {
    files: Vec<Imported>,
    /// By the file that names it and the name that it uses.
    named: HashMap<(u32, Box<str>), Result<usize, String>>,
    /// The home of each source; `None` for the files that are merged.
    homes: HashMap<u32, usize>,
}

/// A file that names others.
#[derive(Debug)]
pub(crate) struct Importer {
    pub(crate) source: u32,
    /// As a path that is the same however it is reached; `None` for a text that is no file.
    pub(crate) path: Option<PathBuf>,
    /// Names are relative to it.
    pub(crate) folder: PathBuf,
    pub(crate) names: Vec<(Box<str>, Span)>,
}

impl Imports {
    /// The file that `span` lies in, when it is one of these.
    pub(crate) fn home(&self, span: Span) -> Option<&Imported> {
        self.files.get(*self.homes.get(&span.source)?)
    }

    /// The file that is called `name` where `span` lies.
    pub(crate) fn file(&self, span: Span, name: &str) -> Result<&Imported, &str> {
        match self.named.get(&(span.source, name.into())) {
            Some(Ok(file)) => Ok(&self.files[*file]),
            Some(Err(reason)) => Err(reason),
            None => Err("it was not read"),
        }
    }
}

/// Reads what the files name, and what those name in turn.
pub(crate) struct Reading<'a> {
    /// Nothing outside of it is read.
    pub(crate) root: &'a Path,
    pub(crate) size_max: usize,
    pub(crate) sources: &'a mut Sources,
    pub(crate) faults: &'a mut Vec<Fault>,
    pub(crate) imports: &'a mut Imports,
}

impl Reading<'_> {
    pub(crate) fn all(&mut self, importers: Vec<Importer>) {
        for importer in importers {
            let mut chain: Vec<PathBuf> = importer.path.iter().cloned().collect();
            self.names(&importer, &mut chain);
        }
    }

    fn names(&mut self, importer: &Importer, chain: &mut Vec<PathBuf>) {
        for (name, span) in &importer.names {
            let found = self.one(&importer.folder, name, *span, chain);
            self.imports.named.insert((importer.source, name.clone()), found);
        }
    }

    /// The number of the file `name`, which is read if it was not before.
    fn one(
        &mut self,
        folder: &Path,
        name: &str,
        span: Span,
        chain: &mut Vec<PathBuf>,
    ) -> Result<usize, String> {
        let path = folder.join(name);
        let inside = path.strip_prefix(self.root).unwrap_or(Path::new(name));
        below(self.root, inside)?;
        let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(first) = chain.iter().position(|before| *before == real) {
            let steps = chain[first..].iter().chain([&real]);
            let steps: Vec<_> = steps.filter_map(|path| path.file_name()?.to_str()).collect();
            let text = format!("these files take keys from each other: {}", steps.join(" -> "));
            self.faults.push(Fault::error(self.sources.location(span), text));
            return Err("it takes keys from the file that takes keys from it".to_owned());
        }
        if let Some(known) = self.imports.files.iter().position(|file| file.path == real) {
            return Ok(known);
        }
        if self.imports.files.len() == FILES_MAX {
            return Err(format!("more than {FILES_MAX} files"));
        }
        let text = read(&path, self.size_max).map_err(|error| error.to_string())?;
        Ok(self.add(&path, real, text, chain))
    }

    fn add(&mut self, path: &Path, real: PathBuf, text: String, chain: &mut Vec<PathBuf>) -> usize {
        let number = self.imports.files.len();
        let source = Arc::new(Source { name: path.display().to_string(), text });
        let id = self.sources.add(Arc::clone(&source), Home::Import(number));
        let Document { root, globals, faults, imports } = syntax::parse(&source, id);
        self.faults.extend(faults);
        self.imports.homes.insert(id, number);
        self.imports.files.push(Imported { path: real.clone(), root, globals });
        chain.push(real);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.names(&Importer { source: id, path: None, folder, names: imports }, chain);
        chain.pop();
        number
    }
}
