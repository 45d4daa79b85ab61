//! What a system leaves behind is for its user alone: logs and mails tell about people, and the state
//! holds passwords. What the tool keeps there for itself is JSON.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;

use crate::project::Project;

/// Folders that nobody else gets into, whatever the rights of the files there.
const CLOSED: [&str; 5] = ["logs", "mail", "run", "redis", "rabbitmq"];

/// Makes the system's folders, and closes those that are there.
pub(crate) fn folders(project: &Project) -> Result<()> {
    // As root, PostgreSQL's account walks through to its data; nobody reads what else is there.
    let outer = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    for folder in project.dev_folders() {
        close(&folder, outer)?;
    }
    CLOSED.iter().try_for_each(|name| close(&project.dev(name), 0o700))
}

/// A lock file that no other user can open, and so none can hold.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // One that an earlier version has made.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// What a file of ours holds; none when it is not there.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("{} is not readable", file.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

/// The same; what cannot be understood is put aside, and it is told with what follows from that.
pub(crate) fn read_or_put_aside<T: DeserializeOwned>(
    file: &Path,
    consequence: &str,
) -> Result<Option<T>> {
    let error = match read(file) {
        Err(error) if error.is::<serde_json::Error>() => error,
        outcome => return outcome,
    };
    let aside = file.with_extension("json.broken");
    fs::rename(file, &aside).with_context(|| format!("put {} aside", file.display()))?;
    eprintln!("{error:#}; it is {} now, and {consequence}", aside.display());
    Ok(None)
}

/// Keeps a value for [`read`].
pub(crate) fn write(file: &Path, value: &impl Serialize) -> Result<()> {
    write_text(file, &serde_json::to_string_pretty(value)?)
}

/// Writes a file in one step, readable by its owner alone.
pub(crate) fn write_text(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut fresh = NamedTempFile::new_in(folder)?;
        fresh.write_all(text.as_bytes())?;
        fresh.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("write {}", file.display()))
}

fn close(folder: &Path, mode: u32) -> Result<()> {
    let made = match DirBuilder::new().mode(mode).create(folder) {
        // One that is a link leads to where the user wants it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    };
    made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(mode)))
        .with_context(|| format!("make {} private", folder.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_stood_open_is_closed() {
        let root = tempfile::tempdir().unwrap();
        let project = Project::fixture(root.path());
        fs::create_dir_all(project.dev("mail")).unwrap();

        folders(&project).unwrap();
        folders(&project).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in ["logs", "mail", "run"] {
            assert_eq!(mode(&project.dev(folder)), 0o700, "{folder}");
        }
        assert_eq!(mode(&root.path().join(".dev")) & 0o066, 0, "nobody else reads it");
    }

    #[test]
    fn nobody_else_opens_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        lock(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
