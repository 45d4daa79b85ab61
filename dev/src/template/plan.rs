//! What is to be written, all of it known before the first file changes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use similar::TextDiff;

use crate::folder::names;

/// Files by their paths from the root, as they are to be; none: away.
#[derive(Debug)]
pub(super) struct Plan {
    root: PathBuf,
    changes: BTreeMap<String, Change>,
}

#[derive(Debug)]
struct Change {
    old: Option<String>,
    new: Option<String>,
}

impl Plan {
    /// Of the files below `root`, with no change yet.
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), changes: BTreeMap::new() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file as planned so far; none when there is no such file.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        match self.changes.get(path) {
            Some(change) => Ok(change.new.clone()),
            None => read(&self.root.join(path)),
        }
    }

    /// The text of a file that has to be there.
    pub(super) fn existing(&self, path: &str) -> Result<String> {
        self.text(path)?.with_context(|| format!("{path} is not there"))
    }

    /// The file gets this text, or goes.
    pub(super) fn set(&mut self, path: &str, new: Option<String>) -> Result<()> {
        let old = match self.changes.remove(path) {
            Some(change) => change.old,
            None => read(&self.root.join(path))?,
        };
        if old != new {
            self.changes.insert(path.to_owned(), Change { old, new });
        }
        Ok(())
    }

    /// How many files are made, changed, and taken away.
    pub(super) fn counts(&self) -> [usize; 3] {
        let count =
            |is: fn(&Change) -> bool| self.changes.values().filter(|change| is(change)).count();
        [
            count(|change| change.old.is_none()),
            count(|change| change.old.is_some() && change.new.is_some()),
            count(|change| change.new.is_none()),
        ]
    }

    /// As `diff -u` shows it.
    pub(super) fn diff(&self) -> String {
        let diffs = self.changes.iter().map(|(path, Change { old, new })| {
            let name = |side: &str, text: &Option<String>| match text {
                Some(_) => format!("{side}/{path}"),
                None => "/dev/null".to_owned(),
            };
            let before = name("a", old);
            let after = name("b", new);
            let old = old.as_deref().unwrap_or("");
            let new = new.as_deref().unwrap_or("");
            let diff = TextDiff::from_lines(old, new);
            diff.unified_diff().header(&before, &after).to_string()
        });
        diffs.collect()
    }

    /// Writes it. What comes back undoes it when it is dropped before it is told to stay.
    pub(super) fn write(self) -> Result<Written> {
        // Before the first file changes: one that cannot be written is found while nothing is.
        for path in self.changes.keys() {
            check_writable(&self.root.join(path)).with_context(|| format!("write {path}"))?;
        }
        let mut written =
            Written { root: self.root, before: Vec::new(), folders: Vec::new(), stays: false };
        for (path, change) in &self.changes {
            written.note(path)?;
            written.put(path, change.new.as_deref())?;
        }
        Ok(written)
    }
}

/// Files that were changed, and what they were before.
#[derive(Debug)]
#[must_use = "dropped, it undoes what was written"]
pub(super) struct Written {
    root: PathBuf,
    before: Vec<(String, Option<String>)>,
    /// Folders of which each file was remembered: what else is there later is new.
    folders: Vec<String>,
    stays: bool,
}

impl Written {
    /// Remembers a file that somebody else is about to change.
    pub(super) fn note(&mut self, path: &str) -> Result<()> {
        if !self.before.iter().any(|(known, _)| known == path) {
            self.before.push((path.to_owned(), read(&self.root.join(path))?));
        }
        Ok(())
    }

    /// Remembers a folder that somebody else is about to change, with the files in it.
    pub(super) fn note_folder(&mut self, path: &str) -> Result<()> {
        for name in names(&self.root.join(path)) {
            self.note(&format!("{path}/{name}"))?;
        }
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// From here on it is not undone.
    pub(super) fn stay(mut self) {
        self.stays = true;
    }

    fn put(&self, path: &str, text: Option<&str>) -> Result<()> {
        let file = self.root.join(path);
        match text {
            Some(text) => {
                let folder = file.parent().unwrap_or(&self.root);
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&file, text))
                    .with_context(|| format!("write {path}"))
            }
            None if file.exists() => {
                fs::remove_file(&file).with_context(|| format!("remove {path}"))?;
                self.remove_empty(file.parent());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Removes folders that have nothing in them any more.
    fn remove_empty(&self, folder: Option<&Path>) {
        let mut folder = folder;
        while let Some(empty) = folder.filter(|folder| **folder != self.root)
            && fs::remove_dir(empty).is_ok()
        {
            folder = empty.parent();
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        for folder in &self.folders {
            for name in names(&self.root.join(folder)) {
                let path = format!("{folder}/{name}");
                if !self.before.iter().any(|(known, _)| *known == path) {
                    self.before.push((path, None));
                }
            }
        }
        for (path, text) in self.before.iter().rev() {
            if let Err(error) = self.put(path, text.as_deref()) {
                eprintln!("could not undo: {error:#}");
            }
        }
    }
}

/// Fails when the file, or the nearest folder that is there, is closed to us.
fn check_writable(file: &Path) -> Result<()> {
    let place = file.ancestors().find(|place| place.exists());
    let place = place.context("there is no folder for it")?;
    let about = fs::metadata(place)?;
    // The superuser could write to it all the same; somebody did not want that.
    ensure!(!about.permissions().readonly(), "{} is read-only", place.display());
    if about.is_file() {
        fs::File::options().append(true).open(place).context("it cannot be changed")?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Option<String>> {
    if !file.exists() {
        return Ok(None);
    }
    fs::read_to_string(file).map(Some).with_context(|| format!("read {}", file.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Plan) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kept"), "one\ntwo\n").unwrap();
        fs::write(folder.path().join("gone"), "gone\n").unwrap();
        let mut plan = Plan::of(folder.path());
        let mut set = |path: &str, text: Option<&str>| {
            plan.set(path, text.map(str::to_owned)).unwrap();
        };
        set("kept", Some("one\nthree\n"));
        set("deep/new", Some("new\n"));
        set("gone", None);
        (folder, plan)
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_plan_is_shown_counted_and_written() {
        let (folder, plan) = folder();
        assert_eq!(plan.counts(), [1, 1, 1]);
        let diff = plan.diff();
        assert!(
            diff.contains("--- a/kept\n+++ b/kept\n@@ -1,2 +1,2 @@\n one\n-two\n+three"),
            "{diff}"
        );
        assert!(diff.contains("--- /dev/null\n+++ b/deep/new"), "{diff}");
        assert_eq!(files(folder.path()), ["gone", "kept"]);

        plan.write().unwrap().stay();
        assert_eq!(files(folder.path()), ["deep", "kept"]);
        assert_eq!(fs::read_to_string(folder.path().join("kept")).unwrap(), "one\nthree\n");
    }

    #[test]
    fn what_does_not_stay_is_undone_with_its_folders() {
        let (folder, plan) = folder();
        drop(plan.write().unwrap());
        assert_eq!(files(folder.path()), ["gone", "kept"]);
        assert_eq!(fs::read_to_string(folder.path().join("kept")).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(folder.path().join("gone")).unwrap(), "gone\n");
    }

    #[test]
    fn what_would_not_change_is_not_in_a_plan() {
        let (_folder, mut plan) = folder();
        plan.set("kept", Some("one\ntwo\n".to_owned())).unwrap();
        plan.set("gone", Some("gone\n".to_owned())).unwrap();
        plan.set("deep/new", None).unwrap();
        assert_eq!(plan.counts(), [0, 0, 0]);
    }
}
