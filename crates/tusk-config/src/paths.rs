//! The `.tsk` files that a path means.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::fault::{Errors, Fault};
use crate::loader::{SIZE_MAX, read};

/// How deep folders are gone into.
const FOLDERS_MAX: usize = 16;

/// These files with what stands in them, and all `*.tsk` files in these folders and their
/// sub-folders, hidden ones left out.
pub fn tsk_files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<File>, Errors> {
    let (files, faults) = read_all(paths);
    if faults.is_empty() { Ok(files) } else { Err(Errors::new(faults)) }
}

/// A file with what stands in it.
type File = (PathBuf, String);

/// These files, and all `*.tsk` files in these folders and their sub-folders, but for hidden ones.
/// What cannot be read is a fault.
pub(crate) fn read_all<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
) -> (Vec<File>, Vec<Fault>) {
    let (mut names, mut files, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let path = path.as_ref();
        let before = names.len();
        if let Err(error) = collect(path, FOLDERS_MAX, true, &mut names) {
            faults.push(Fault::error(None, format!("cannot read {}: {error}", path.display())));
        } else if names.len() == before {
            faults.push(Fault::error(None, format!("no .tsk file in {}", path.display())));
        }
    }
    for path in names {
        match read(&path, SIZE_MAX) {
            Ok(text) => files.push((path, text)),
            Err(error) => {
                faults.push(Fault::error(None, format!("cannot read {}: {error}", path.display())));
            }
        }
    }
    (files, faults)
}

fn collect(path: &Path, depth: usize, given: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let kind = if given { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    if !kind.is_dir() {
        if given || path.extension() == Some(OsStr::new("tsk")) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    if depth == 0 || (hidden && !given) {
        return Ok(());
    }
    let entries =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut entries = entries?;
    entries.sort();
    entries.iter().try_for_each(|entry| collect(entry, depth - 1, false, files))
}
