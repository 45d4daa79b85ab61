//! Texts of the workspace, by their paths, that rules read and violations are planted in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[derive(Clone, Default)]
pub(crate) struct Texts(pub(crate) BTreeMap<String, String>);

impl Texts {
    /// Takes up a file, or all files below a folder, by their paths from `base`.
    pub(crate) fn add(&mut self, base: &Path, path: &Path) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.add(base, &entry.unwrap().path());
            }
        } else {
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            self.0.insert(name, fs::read_to_string(path).unwrap());
        }
    }

    /// A copy in which one piece of one file, which has to be there, is another.
    pub(crate) fn with(&self, file: &str, piece: &str, other: &str) -> Self {
        let mut copy = self.clone();
        let text = copy.0.get_mut(file).unwrap();
        assert!(text.contains(piece), "{file} has no {piece:?}");
        *text = text.replacen(piece, other, 1);
        copy
    }

    pub(crate) fn text(&self, file: &str) -> &str {
        &self.0[file]
    }

    /// What a file of YAML or JSON says.
    pub(crate) fn yaml(&self, file: &str) -> Value {
        serde_saphyr::from_str(self.text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}
