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
