//! One service as the template makes it: its files, and its pieces in files of all.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

use super::{
    files::{Files, ends_in, formatted},
    names::Names,
    new_handler::unsubscribe,
    parts::Language,
    plan::Plan,
    record::Record,
    words::{Words, snake},
};
use crate::{
    folder::{below, names},
    prepare::generated,
    project::Project,
};

/// What other commands generate of the files of a new service.
const GENERATED: [&str; 3] = ["/openapi.json", "/.sqlx/", "/schemas/"];

/// A service of the template.
pub(super) struct Service<'a> {
    root: &'a Path,
    pub(super) names: Names,
    pub(super) record: Record,
    files: Files,
}

impl<'a> Service<'a> {
    pub(super) fn new(
        project: &'a Project,
        names: Names,
        record: Record,
        port: u16,
    ) -> Result<Self> {
        let root = project.root();
        let words = Words::new(&names.service, &names.aggregate, &names.plural, port);
        let chosen: Vec<String> =
            record.events.iter().map(|publisher| format!("events={publisher}")).collect();
        let files = Files::render(root, &names.service, &words, &chosen)?;
        Ok(Self { root, names, record, files })
    }

    /// `services/orders-service`.
    pub(super) fn folder(&self) -> String {
        format!("services/{}", self.names.service)
    }

    /// The files that are its own and stand elsewhere, what was added of its events included.
    fn others(&self) -> Vec<String> {
        let folder = self.folder() + "/";
        let paths = self.files.new.iter().map(|(path, _)| path.clone());
        let mut paths: Vec<String> = paths.filter(|path| !path.starts_with(&folder)).collect();
        let of_events = snake(&self.names.aggregate) + ".";
        for folder in ["crates/contracts/golden", "crates/contracts/schemas"] {
            let events = names(&self.root.join(folder)).into_iter();
            let events = events.filter(|name| name.starts_with(&of_events));
            paths.extend(events.map(|name| format!("{folder}/{name}")));
        }
        paths.sort();
        paths.dedup();
        paths
    }

    /// Its pieces in files of all that are there, or are not: `docker-compose.yml: services / …`.
    pub(super) fn pieces(&self, are_there: bool) -> Result<Vec<String>> {
        self.files.pieces_that(self.root, |language, text, piece| {
            Ok(language.has(text, piece)? == are_there)
        })
    }

    /// What is there and not as it was made: files of its own, and pieces of others. What `cargo dev prepare`
    /// makes of it does not count.
    pub(super) fn changed(&self) -> Result<Vec<String>> {
        let mut made = BTreeMap::new();
        for (path, text) in &self.files.new {
            let is_rust = ends_in(path, "rs");
            let text = if is_rust { formatted(self.root, text)? } else { text.clone() };
            made.insert(path.as_str(), text);
        }
        let manifest = self.folder() + "/Cargo.toml";
        if let Some(text) = made.get_mut(manifest.as_str()) {
            text.push_str(&self.record.lines());
        }
        let mut changed = Vec::new();
        for path in self.own()? {
            let is_generated = GENERATED.iter().any(|name| path.contains(name));
            let text = Plan::of(self.root).text(&path)?;
            if !is_generated && text.as_ref() != made.get(path.as_str()) {
                changed.push(path);
            }
        }
        changed.extend(self.files.pieces_that(self.root, |language, text, piece| {
            Ok(language.has(text, piece)? && !language.has_unchanged(text, piece)?)
        })?);
        Ok(changed)
    }

    /// The paths of all files that are its own and are there.
    fn own(&self) -> Result<Vec<String>> {
        let folder = self.root.join(self.folder());
        let mut own = self.others();
        for file in if folder.exists() { below(&folder)? } else { Vec::new() } {
            own.push(file.strip_prefix(self.root)?.to_string_lossy().into_owned());
        }
        Ok(own)
    }

    /// Everything written.
    pub(super) fn added(&self) -> Result<Plan> {
        let mut plan = self.files.added(self.root)?;
        let manifest = self.folder() + "/Cargo.toml";
        let text = plan.existing(&manifest)? + &self.record.lines();
        plan.set(&manifest, Some(text))?;
        self.regenerate(&mut plan)?;
        Ok(plan)
    }

    /// Everything taken away.
    pub(super) fn taken(&self) -> Result<Plan> {
        let mut plan = Plan::of(self.root);
        for path in self.own()? {
            plan.set(&path, None)?;
        }
        for (path, language, piece) in self.files.pieces.iter().rev() {
            let text = plan.existing(path)?;
            if language.has(&text, piece)? {
                let text = language.take(&text, piece).with_context(|| path.clone())?;
                plan.set(path, Some(text))?;
            }
        }
        unsubscribe(&mut plan, &format!("{}_events", snake(&self.names.aggregate)))?;
        self.take_lines(&mut plan)?;
        self.regenerate(&mut plan)?;
        Ok(plan)
    }

    /// Takes away what was added of the service to lists of lines.
    fn take_lines(&self, plan: &mut Plan) -> Result<()> {
        let lists =
            self.files.pieces.iter().filter(|(_, language, _)| *language == Language::Lines);
        for (path, ..) in lists {
            let text = plan.existing(path)?;
            let is_its = |line: &&str| line.split(' ').next() == Some(&self.names.service);
            let kept = text.split_inclusive('\n').filter(|line| !is_its(line)).collect();
            plan.set(path, Some(kept))?;
        }
        Ok(())
    }

    /// What is generated of the settings, as they will be.
    fn regenerate(&self, plan: &mut Plan) -> Result<()> {
        let copy = tempfile::tempdir().context("make a temporary folder")?;
        let mut paths = vec![];
        for folder in ["config", &self.folder()] {
            let folder = self.root.join(folder);
            paths.extend(if folder.exists() { below(&folder)? } else { Vec::new() });
        }
        let paths = paths.iter().filter_map(|path| path.strip_prefix(self.root).ok());
        let paths = paths.map(|path| path.to_string_lossy().into_owned());
        let new = self.files.new.iter().map(|(path, _)| path.clone());
        for path in paths.chain(new).filter(|path| ends_in(path, "tsk")) {
            if let Some(text) = plan.text(&path)? {
                let file = copy.path().join(&path);
                fs::create_dir_all(file.parent().unwrap_or(copy.path()))
                    .context("make a folder")?;
                fs::write(&file, text).with_context(|| format!("copy {path}"))?;
            }
        }
        let document = |service: &str| plan.text(&format!("services/{service}/openapi.json"));
        let parts = generated::of_settings(&Project::at(copy.path())?, |service| {
            Ok(document(service)?.unwrap_or_default())
        })?;
        for part in parts {
            let text = part.put_into(&plan.existing(part.file())?)?;
            plan.set(part.file(), Some(text))?;
        }
        Ok(())
    }
}
