//! A file that is read again once it has changed.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::de::DeserializeOwned;

/// Far above what a system's files hold; a longer one is not read.
const BYTES_MAX: u64 = 1 << 20;

/// What tells one version of a file from another.
type Mark = (SystemTime, u64, u64);

/// The content of a file of JSON as it was at the last refresh. A file that is not there says what the
/// type's default says.
#[derive(Debug)]
pub struct Watched<T> {
    path: PathBuf,
    mark: Option<Mark>,
    value: T,
}

impl<T: Default + DeserializeOwned> Watched<T> {
    /// A file that was not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mark: None, value: T::default() }
    }

    /// What the file said at the last refresh.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Reads the file if it has changed, which costs one system call while it has not changed.
    ///
    /// # Errors
    /// When it cannot be read or understood; what it said before stays, and the next refresh that finds it
    /// changed reads it again.
    pub fn refresh(&mut self) -> io::Result<&T> {
        let mark = mark(&self.path)?;
        if mark != self.mark {
            self.mark = mark;
            self.value = if mark.is_some() { read(&self.path)? } else { T::default() };
        }
        Ok(&self.value)
    }
}

fn mark(path: &Path) -> io::Result<Option<Mark>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some((data.modified()?, data.len(), data.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut text = String::new();
    fs::File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Wire, Wires};

    #[test]
    fn a_change_is_seen_a_broken_file_keeps_what_was_and_an_absent_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wires.json");
        let mut watched = Watched::<Wires>::new(&path);
        assert_eq!(watched.refresh().unwrap(), &Wires::default());

        fs::write(&path, r#"{"redis": {"port": 1, "target": "127.0.0.1:2"}}"#).unwrap();
        let wire = Wire { port: 1, target: "127.0.0.1:2".to_owned() };
        assert_eq!(watched.refresh().unwrap().0["redis"], wire);

        let new = path.with_extension("new");
        fs::write(&new, "{").unwrap();
        fs::rename(&new, &path).unwrap();
        watched.refresh().unwrap_err();
        assert_eq!(watched.value().0["redis"], wire);

        fs::remove_file(&path).unwrap();
        assert_eq!(watched.refresh().unwrap(), &Wires::default());
    }
}
