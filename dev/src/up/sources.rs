//! The files that binaries and settings are made of, as they are now.
//!
//! They are looked at again and again instead of being watched by the system: some thousand files
//! take a few milliseconds, on every file system; an editor's renames, folders that go and come back and
//! a checkout of everything are nothing special then, and there is no limit of watches to run into.

use std::{
    collections::BTreeMap,
    fs::{self, DirEntry, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// What is looked at, from the top of the workspace.
const ROOTS: [&str; 7] =
    ["services", "crates", "config", ".cargo", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];
/// Folders of a package that no binary is made of.
const UNUSED: [&str; 3] = ["tests", "benches", "examples"];
/// How long nothing may change before what was saved counts as whole.
const QUIET: Duration = Duration::from_millis(80);
/// After which it is built although something goes on changing.
const QUIET_LIMIT: Duration = Duration::from_secs(3);

/// What tells one version of a file from another.
type Mark = (SystemTime, u64, u64);

/// The files and their versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, Mark>);

impl Sources {
    /// Those of the workspace at `root`.
    pub(super) fn of(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        for name in ROOTS {
            visit(root, Path::new(name), &mut files);
        }
        Self(files)
    }

    /// The files as they are once they stand still; none when they are these.
    pub(super) fn settled(&self, root: &Path, is_over: impl Fn() -> bool) -> Option<Self> {
        let mut last = Self::of(root);
        let begin = Instant::now();
        while last != *self && begin.elapsed() < QUIET_LIMIT && !is_over() {
            thread::sleep(QUIET);
            let now = Self::of(root);
            if now == last {
                break;
            }
            last = now;
        }
        (last != *self && !is_over()).then_some(last)
    }

    /// What is new, changed or gone in `later`.
    pub(super) fn changed(&self, later: &Self) -> Vec<PathBuf> {
        let new = later.0.iter().filter(|(path, mark)| self.0.get(*path) != Some(mark));
        let gone = self.0.iter().filter(|(path, _)| !later.0.contains_key(*path));
        new.chain(gone).map(|(path, _)| path.clone()).collect()
    }

    /// Takes one file as it is now.
    pub(super) fn refresh(&mut self, root: &Path, name: &str) {
        visit(root, Path::new(name), &mut self.0);
    }
}

/// Notes a file, or all that is in a folder. What cannot be read is not there.
fn visit(root: &Path, inner: &Path, files: &mut BTreeMap<PathBuf, Mark>) {
    let path = root.join(inner);
    let Ok(data) = fs::symlink_metadata(&path) else {
        return;
    };
    if !data.is_dir() {
        files.insert(inner.to_owned(), mark(&data));
        return;
    }
    let Ok(entries) = fs::read_dir(&path) else {
        return;
    };
    let is_package = path.join("Cargo.toml").exists();
    for entry in entries.flatten().filter(|entry| counts(entry, inner, is_package)) {
        visit(root, &inner.join(entry.file_name()), files);
    }
}

/// Whether binaries or settings may be made of it.
fn counts(entry: &DirEntry, folder: &Path, is_package: bool) -> bool {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        return false;
    };
    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
    // What editors leave behind for a moment.
    let passes = name.ends_with('~') || (name.starts_with('.') && name != ".sqlx");
    let is_unused = name == "target" || (is_package && UNUSED.contains(&name));
    let is_tsk = Path::new(name).extension().is_some_and(|ending| ending == "tsk");
    let is_settings = !folder.starts_with("config") || is_folder || is_tsk;
    !passes && !is_unused && is_settings
}

fn mark(data: &Metadata) -> Mark {
    (data.modified().unwrap_or(SystemTime::UNIX_EPOCH), data.len(), data.ino())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_a_binary_or_settings_are_made_of_counts_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "services/a/Cargo.toml", "");
        write(root, "services/a/src/tests/mod.rs", "");
        let before = Sources::of(root);
        for file in [
            "services/a/tests/it.rs",
            "services/a/src/.main.rs.swp",
            "services/a/src/main.rs~",
            "config/observability/METRICS.md",
            ".dev/state.json",
            "target/debug/a",
            "README.md",
        ] {
            write(root, file, "one");
            assert_eq!(Sources::of(root), before, "{file}");
        }
        for file in [
            "services/a/src/main.rs",
            "services/a/src/tests/more.rs",
            "services/a/.sqlx/query-1.json",
            "services/a/migrations/1.sql",
            "config/a.tsk",
            "config/environments/development/a.tsk",
            "Cargo.lock",
        ] {
            let before = Sources::of(root);
            write(root, file, "one");
            assert_eq!(before.changed(&Sources::of(root)), [Path::new(file)], "{file}");
        }
    }

    #[test]
    fn an_atomic_rename_and_a_folder_that_is_gone_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "crates/a/src/lib.rs", "one");
        let before = Sources::of(root);
        let file = root.join("crates/a/src/lib.rs");
        let new = root.join("crates/a/src/new");
        let saved = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&new, "two").unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(saved).unwrap();
        fs::rename(&new, &file).unwrap();
        assert_eq!(before.changed(&Sources::of(root)), [Path::new("crates/a/src/lib.rs")]);

        fs::remove_dir_all(root.join("crates")).unwrap();
        assert_eq!(before.changed(&Sources::of(root)), [Path::new("crates/a/src/lib.rs")]);
        assert_eq!(Sources::of(root), Sources::default());
        write(root, "crates/a/src/lib.rs", "one");
        assert!(before.settled(root, || false).is_some());
    }
}
