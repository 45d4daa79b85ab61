//! One service as the template makes it: its files, and its pieces in files of all.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{
    files::{Files, below, ends_in},
    names::Names,
    parts::{Language, Piece},
    plan::Plan,
    record::Record,
    words::Words,
};
use crate::{prepare::readme, project::Project};

/// The file with lists that are made of the settings.
const README: &str = "README.md";

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

    /// The files that are its own and stand elsewhere.
    pub(super) fn others(&self) -> Vec<String> {
        let folder = self.folder() + "/";
        let paths = self.files.new.iter().map(|(path, _)| path.clone());
        paths.filter(|path| !path.starts_with(&folder)).collect()
    }

    /// Its pieces in files of all that are there, or are not: `docker-compose.yml: services / …`.
    pub(super) fn pieces(&self, are_there: bool) -> Result<Vec<String>> {
        self.pieces_that(|language, text, piece| Ok(language.has(text, piece)? == are_there))
    }

    /// Its pieces that are there and were changed since.
    pub(super) fn changed_pieces(&self) -> Result<Vec<String>> {
        self.pieces_that(|language, text, piece| {
            Ok(language.has(text, piece)? && !language.has_unchanged(text, piece)?)
        })
    }

    fn pieces_that(
        &self,
        is_so: impl Fn(Language, &str, &Piece) -> Result<bool>,
    ) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (path, language, piece) in &self.files.pieces {
            let text = self.text(&Plan::default(), path)?;
            if is_so(*language, &text, piece).with_context(|| path.clone())? {
                found.push(format!("{path}: {}", piece.shown()));
            }
        }
        Ok(found)
    }

    /// Everything written.
    pub(super) fn added(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for (path, text) in &self.files.new {
            ensure!(!self.root.join(path).exists(), "{path} is there: move it away first");
            let text = if ends_in(path, "rs") {
                formatted(self.root, text).with_context(|| format!("format {path}"))?
            } else {
                text.clone()
            };
            let record =
                if path.ends_with("Cargo.toml") { self.record.lines() } else { String::new() };
            plan.set(self.root, path, Some(text + &record))?;
        }
        for (path, language, piece) in &self.files.pieces {
            let text = self.text(&plan, path)?;
            let text = language.add(&text, piece).with_context(|| path.clone())?;
            plan.set(self.root, path, Some(text))?;
        }
        self.retell(&mut plan)?;
        Ok(plan)
    }

    /// Everything taken away.
    pub(super) fn taken(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        let folder = self.root.join(self.folder());
        for file in if folder.exists() { below(&folder)? } else { Vec::new() } {
            let path = file.strip_prefix(self.root)?.to_string_lossy().into_owned();
            plan.set(self.root, &path, None)?;
        }
        for path in self.others() {
            plan.set(self.root, &path, None)?;
        }
        for (path, language, piece) in self.files.pieces.iter().rev() {
            let text = self.text(&plan, path)?;
            if language.has(&text, piece)? {
                let text = language.take(&text, piece).with_context(|| path.clone())?;
                plan.set(self.root, path, Some(text))?;
            }
        }
        self.retell(&mut plan)?;
        Ok(plan)
    }

    /// What the README lists of the settings, as they will be.
    fn retell(&self, plan: &mut Plan) -> Result<()> {
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
            if let Some(text) = plan.text(self.root, &path)? {
                let file = copy.path().join(&path);
                fs::create_dir_all(file.parent().unwrap_or(copy.path()))
                    .context("make a folder")?;
                fs::write(&file, text).with_context(|| format!("copy {path}"))?;
            }
        }
        let document =
            |service: &str| plan.text(self.root, &format!("services/{service}/openapi.json"));
        let text = readme::with_lists(
            &self.text(plan, README)?,
            &copy.path().join("config"),
            |service| Ok(document(service)?.unwrap_or_default()),
        )?;
        plan.set(self.root, README, Some(text))
    }

    fn text(&self, plan: &Plan, path: &str) -> Result<String> {
        plan.text(self.root, path)?.with_context(|| format!("{path} is not there"))
    }
}

/// As `cargo fmt` writes it: other names are longer or shorter, and sort otherwise.
pub(super) fn formatted(root: &Path, text: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--quiet", "--edition", "2024", "--config-path"]).arg(root);
    let mut process = rustfmt
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start rustfmt; get it by: rustup component add rustfmt")?;
    if let Some(mut input) = process.stdin.take() {
        std::io::Write::write_all(&mut input, text.as_bytes()).context("hand it to rustfmt")?;
    }
    let output = process.wait_with_output().context("wait for rustfmt")?;
    ensure!(output.status.success(), "rustfmt failed ({})", output.status);
    String::from_utf8(output.stdout).context("read what rustfmt gave")
}
