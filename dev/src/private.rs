//! What a system leaves behind is for its user alone: logs and mails tell about people, and the state
//! holds passwords.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result};

use crate::project::Project;

/// Folders that nobody else looks into.
const CLOSED: [&str; 5] = ["logs", "mail", "run", "redis", "rabbitmq"];
/// Those of them whose files are closed, too: a folder of an earlier version was open, and so were they.
const WITH_FILES: [&str; 2] = ["logs", "mail"];

/// Makes the system's folders, and closes those that are there.
pub(crate) fn folders(project: &Project) -> Result<()> {
    // As root, PostgreSQL's account walks through to its data; nobody reads what else is there.
    let outer = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    for folder in project.dev_folders() {
        close(&folder, outer)?;
    }
    for name in CLOSED {
        close(&project.dev(name), 0o700)?;
    }
    WITH_FILES.iter().try_for_each(|name| close_files(&project.dev(name)))
}

/// A lock file that no other user can open, and so none can hold.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // One that an earlier version has made.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
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

fn close_files(folder: &Path) -> Result<()> {
    let doing = || format!("make the files in {} private", folder.display());
    for entry in fs::read_dir(folder).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        if entry.file_type().with_context(doing)?.is_file() {
            match fs::set_permissions(entry.path(), Permissions::from_mode(0o600)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(doing);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_has_left_open_is_closed() {
        let root = tempfile::tempdir().unwrap();
        for folder in [".dev/logs", ".dev/mail"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let file = root.path().join(".dev/mail/a.eml");
        fs::write(&file, "Dear Ada").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let project = Project::fixture(root.path());

        folders(&project).unwrap();
        folders(&project).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        for folder in [".dev/logs", ".dev/mail", ".dev/run"] {
            assert_eq!(mode(&root.path().join(folder)), 0o700, "{folder}");
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
